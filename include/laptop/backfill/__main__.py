"""`python -m include.laptop.backfill MODEL FROM TO`"""

import sys

from include.laptop.backfill.driver import main

sys.exit(main(sys.argv[1:]))

"""`python -m include.laptop.run MODEL PERIOD REVIEW`"""

import sys

from include.laptop.run.driver import main

sys.exit(main(sys.argv[1:]))

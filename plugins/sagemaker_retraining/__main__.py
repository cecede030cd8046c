"""`python -m sagemaker_retraining`"""

import sys

from sagemaker_retraining.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m sagemaker_retraining`"""

import sys

from sagemaker_retraining.cli.main import main

# Airflow's plugin loader executes this file as a module `__main__` of no package: that must not end Airflow.
if __name__ == "__main__" and __package__:
    sys.exit(main())

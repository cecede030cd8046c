"""The command line, `python -m sagemaker_retraining <command>`: one module for each command."""

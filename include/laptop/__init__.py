"""The laptop: set-up, the stack (Airflow and the local SageMaker) and the driver behind `make run`."""

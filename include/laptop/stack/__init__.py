"""The stack of a laptop: Airflow and the local SageMaker, started, found and stopped."""

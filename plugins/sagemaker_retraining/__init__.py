"""Monthly retraining on Amazon SageMaker for Airflow: YAML → plan → request → operator → SageMaker."""

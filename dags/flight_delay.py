"""The Airflow DAG of the model flight_delay; everything about it is in include/models/flight_delay/."""

from sagemaker_retraining.dags import retraining_dag

dag = retraining_dag("flight_delay")

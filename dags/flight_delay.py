"""The Airflow DAGs of the model flight_delay; everything about it is in include/models/flight_delay/."""

from sagemaker_retraining.dags import promotion_dag, retraining_dag, rollback_dag

dag = retraining_dag("flight_delay")
rollback = rollback_dag("flight_delay")
promotion = promotion_dag("flight_delay")

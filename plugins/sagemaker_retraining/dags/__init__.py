"""DAG builders: one function per kind of DAG, called once per model by a file in `dags/`."""

from sagemaker_retraining.dags.retraining import retraining_dag
from sagemaker_retraining.dags.serving import promotion_dag, rollback_dag

__all__ = ["promotion_dag", "retraining_dag", "rollback_dag"]

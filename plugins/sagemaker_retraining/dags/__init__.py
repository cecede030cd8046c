"""DAG builders: one function per kind of DAG, called once per model by a file in `dags/`."""

from sagemaker_retraining.dags.retraining import retraining_dag

__all__ = ["retraining_dag"]

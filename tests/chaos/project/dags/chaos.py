"""The Airflow DAG of the fault suite's model, once per variant (see tests/chaos/project.py)."""

from datetime import timedelta

from airflow.sdk import get_parsing_context
from airflow.timetables.simple import NullTimetable

from sagemaker_retraining.config import model_names
from sagemaker_retraining.dags import retraining_dag

wanted = get_parsing_context().dag_id  # a task's own process needs its own DAG only
for name in model_names():
    if wanted not in (None, f"{name}_retraining"):
        continue
    dag = retraining_dag(name)
    for task in dag.tasks:
        task.retry_delay = timedelta(seconds=2)
    dag.timetable = NullTimetable()  # runs start by hand only
    if name == "chaos_waiting":
        dag.get_task("train").deferrable = False
    globals()[name] = dag

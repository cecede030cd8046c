"""`astro deploy` and `astro dev parse` run this in the built image, and stop when a DAG file cannot be imported."""

from __future__ import annotations

from pathlib import Path

from airflow.dag_processing.dagbag import DagBag


def test_every_dag_file_can_be_imported() -> None:
    bag = DagBag(Path(__file__).parents[1] / "dags")
    assert bag.import_errors == {}
    assert bag.dags

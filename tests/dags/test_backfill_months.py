"""Airflow's own code, given what `make backfill` sends, plans exactly the months FROM to TO, each once."""

from __future__ import annotations

import pytest
from airflow.models.backfill import _get_info_list
from airflow.serialization.serialized_objects import DagSerialization
from hypothesis import given, settings
from hypothesis import strategies as st

from include.laptop.backfill.driver import interval
from include.laptop.setup.arguments import BackfillArguments
from sagemaker_retraining.dags import retraining_dag
from sagemaker_retraining.period import Period, resolve_period

FIRST = Period(2013, 2)


@pytest.fixture(scope="module")
def dag() -> object:
    """As the scheduler has it."""
    return DagSerialization.from_dict(DagSerialization.to_dict(retraining_dag("flight_delay")))


@settings(max_examples=50, deadline=None)
@given(start=st.integers(0, 60), length=st.integers(0, 30))
def test_the_months_are_exactly_those_that_were_asked_for(dag: object, start: int, length: int) -> None:
    chosen = BackfillArguments("flight_delay", str(FIRST.add(start)), str(FIRST.add(start + length)))
    first, last = interval(chosen)
    planned = _get_info_list(from_date=first, to_date=last, reverse=False, dag=dag)  # type: ignore[arg-type]
    months = [resolve_period(data_interval=(run.data_interval.start, run.data_interval.end)) for run in planned]
    assert [str(month) for month in months] == chosen.periods
    assert [run.logical_date.strftime("%Y-%m") for run in planned] == chosen.periods

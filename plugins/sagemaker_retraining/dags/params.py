"""What people may set when they start a DAG by hand."""

from __future__ import annotations

from airflow.sdk import Param

from sagemaker_retraining.config import environment_names

PERIOD_PATTERN = r"^[0-9]{4}-(0[1-9]|1[0-2])$"


def retraining_params() -> dict[str, Param]:
    """Of `<model>_retraining`."""
    return {
        "period": Param(
            None,
            type=["null", "string"],
            pattern=PERIOD_PATTERN,
            title="Period",
            description="Month whose data the run is about, as YYYY-MM. Empty: the month of the run's data "
            "interval, or the last complete month for a run started by hand.",
        ),
        "replace_newer": Param(
            False,
            type="boolean",
            title="Replace a newer model",
            description="Let this run go on to approval and production although a version of a later month is "
            "approved already, or although it is part of a backfill. Without it such a run registers its version "
            "for the record and ends.",
        ),
    }


def rollback_params() -> dict[str, Param]:
    """Of `<model>_rollback`."""
    version = Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Version",
        description="Number of an approved version. Empty: the newest approved one before the version that serves, or, "
        "where a challenger stands beside that, the version that serves, without the challenger.",
    )
    return {"version": version, "reason": _reason()}


def promotion_params(environment: str) -> dict[str, Param]:
    """Of `<model>_promotion`; a version comes from the worker's `environment` unless a person chooses another."""
    names = environment_names()
    return {
        "version": Param(type="integer", minimum=1, title="Version", description="Number of an approved version."),
        "source": Param(environment, type="string", enum=names, title="From", description="Environment it comes from."),
        "target": Param(type="string", enum=names, title="To", description="Environment it goes to."),
        "reason": _reason(),
    }


def _reason() -> Param:
    return Param(
        type="string",
        minLength=3,
        maxLength=150,
        pattern=r"\S\s*\S\s*\S",  # blanks are no reason
        title="Reason",
        description="Kept in the Model Registry with your name.",
    )

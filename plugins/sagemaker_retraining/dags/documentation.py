"""What the DAGs' pages in Airflow's UI say."""

from __future__ import annotations

from sagemaker_retraining.config import ModelConfig


def retraining_documentation(model: ModelConfig) -> str:
    """Of `<model>_retraining`."""
    return f"""### {model.description}

Retrains `{model.model}` on the months before the run's month, evaluates on that month, registers the version as
PendingManualApproval and deploys it to `{model.endpoint}` when a person has approved it.

| to | do |
|---|---|
| run a certain month | *Trigger*, set **Period** |
| see what was sent to SageMaker | a task's *Rendered Templates*, or `plan.json` under the run's S3 prefix |
| go back, or to another version | the DAG `{model.model}_rollback` |
| approve or reject | the run's *Required Actions*, `python -m sagemaker_retraining approve …`, or SageMaker Studio |

Owner: {model.owner}, team {model.team}. Configuration: `include/models/{model.model}/model.yaml`.
"""

"""Verification of what was deployed: the endpoint answers what the evaluation computed."""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowFailException

from sagemaker_retraining.hooks import RetrainingHook

if TYPE_CHECKING:
    from airflow.sdk import Context

SHOWN_DIFFERENCES = 5


class VerifyEndpointOperator(AwsBaseOperator[RetrainingHook]):
    """Sends the holdout sample to the endpoint and compares with the offline predictions (train/serve skew).

    `config` is the plan's `verify`: `{endpoint, tolerance}`; `evaluation` the result of evaluate, which left
    `sample.jsonl`: each line is `{"content_type", "body", "prediction"}`.
    Returns `{requests, max_difference, p50_ms, p99_ms}`.
    """

    aws_hook_class = RetrainingHook
    template_fields = aws_template_fields("config", "evaluation")
    template_fields_renderers = {"config": "json"}  # noqa: RUF012 (Airflow's own spelling)

    def __init__(self, *, config: dict[str, Any], evaluation: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.evaluation = evaluation

    def execute(self, context: Context) -> dict[str, Any]:
        """One request per line; fails with the first rows that differ by more than the tolerance."""
        sample_uri = f"{self.evaluation['outputs']['evaluation']}sample.jsonl"
        sample = [json.loads(line) for line in self.hook.read_bytes(sample_uri).splitlines()]
        if not sample:
            raise AirflowFailException(f"{sample_uri}: the sample is empty, nothing can be verified")
        runtime: Any = AwsBaseHook(client_type="sagemaker-runtime", **self._hook_parameters).conn
        seconds, wrong, differences = [], [], []
        for row in sample:
            started = time.perf_counter()
            answer = runtime.invoke_endpoint(
                EndpointName=self.config["endpoint"],
                ContentType=row["content_type"],
                Accept="text/csv",
                Body=row["body"],
            )["Body"].read()
            seconds.append(time.perf_counter() - started)
            online = float(answer)
            differences.append(abs(online - row["prediction"]))
            if not differences[-1] <= self.config["tolerance"]:
                wrong.append(f"{row['body']}: offline {row['prediction']!r}, endpoint {online!r}")
        if wrong:
            raise AirflowFailException(
                f"{len(wrong)} of {len(sample)} answers of {self.config['endpoint']} differ from the offline "
                f"predictions by more than {self.config['tolerance']:g}; the first: "
                + "; ".join(wrong[:SHOWN_DIFFERENCES])
            )
        result = {
            "requests": len(sample),
            "max_difference": max(differences),
            "p50_ms": round(statistics.median(seconds) * 1000, 2),
            "p99_ms": round(sorted(seconds)[int(0.99 * (len(seconds) - 1))] * 1000, 2),
        }
        self.log.info("%s: %s", self.config["endpoint"], result)
        return result

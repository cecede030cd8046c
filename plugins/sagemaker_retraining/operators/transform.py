"""Monthly scoring without an endpoint: a transform job that a retry finds again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTransformOperator
from airflow.sdk.exceptions import AirflowFailException

from sagemaker_retraining.endpoints.preconditions import require_approved
from sagemaker_retraining.hooks import TRANSFORM
from sagemaker_retraining.job_identity import JobRequest
from sagemaker_retraining.operators.jobs import ResumableJobMixin
from sagemaker_retraining.outcomes import Description, JobError, JobResult, TransformResult, transform_result
from sagemaker_retraining.requests.transform import TransformRequests, transform_requests
from sagemaker_retraining.requests.validation import validate
from sagemaker_retraining.s3_uri import split_s3_uri

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sagemaker_retraining.plan.document import TransformConfig

SUCCESS = "_SUCCESS"


class ResumableTransformOperator(ResumableJobMixin, SageMakerTransformOperator):  # type: ignore[misc] # its own links
    """`SageMakerTransformOperator` that attaches on retry, and scores with an Approved version only.

    The model is named after its content, as behind an endpoint. The predictions of a month have one location, whichever
    run made them; `_SUCCESS` there says which version and job it was.
    """

    kind = TRANSFORM
    template_fields: Sequence[str] = (*ResumableJobMixin.template_fields, "model_package_arn")

    def __init__(self, *, model_package_arn: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_package_arn = model_package_arn

    def submit(self, context: Context) -> Description:
        """Look at the version and the input first; then the model, then the job."""
        require_approved(self.sagemaker, self.model_package_arn)
        requests = self.requests()
        source = requests["CreateTransformJob"]["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        if not self.sagemaker.list_objects(*split_s3_uri(source)):
            raise AirflowFailException(
                f"{source}: there is nothing to score; deploy.batch.input_uri says where to look"
            )
        validate("CreateModel", requests["CreateModel"])
        self.sagemaker.create_unless_there("create_model", requests["CreateModel"])
        return super().submit(context)

    def requests(self) -> TransformRequests:
        """The plan's requests, completed with the version."""
        return transform_requests(cast("TransformConfig", self.config), self.model_package_arn)

    def request(self) -> JobRequest:
        """The job's request with the version's model."""
        return dict(self.requests()["CreateTransformJob"])

    def create(self, attempt: JobRequest) -> bool:
        """Whoever reads `_SUCCESS` must not read a month that is being overwritten: it goes before the job comes."""
        marker = f"{attempt['TransformOutput']['S3OutputPath']}{SUCCESS}"
        earlier = self.sagemaker.read_bytes(marker) if self.sagemaker.exists(marker) else None
        self.sagemaker.delete(marker)
        try:
            return super().create(attempt)
        except JobError:
            if earlier is not None:  # no job, so what the month has is what was scored before
                self.mark(marker, earlier)
            raise

    def conclude(self, result: JobResult) -> None:
        """Mark the month as scored."""
        result = cast("TransformResult", result)
        body = {"version": self.model_package_arn, "job": result["name"], "ended_at": result["ended_at"]}
        self.mark(f"{result['output']}{SUCCESS}", json.dumps(body).encode())

    def mark(self, marker: str, body: bytes) -> None:
        """Write `_SUCCESS`."""
        key = self.config["transform"]["TransformOutput"].get("KmsKeyId")
        self.sagemaker.write_bytes(marker, body, kms_key=key, content_type="application/json")

    def result(self, description: Description) -> TransformResult:
        """See `outcomes.transform_result`."""
        return transform_result(description)

"""Requests to an endpoint, one at a time: at once, or through S3 for an asynchronous one."""

from __future__ import annotations

import time
from typing import TypedDict

from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.s3_uri import split_s3_uri

# InvokeEndpoint's limit; a serverless endpoint takes 4 MB, and SageMaker's own error names that.
LARGEST_BODY = 6_291_456
# A model that is loading or an endpoint that is busy: both pass, a serverless cold start after a minute or two.
LOADING = frozenset({"ModelNotReadyException", "ServiceUnavailable", "InternalFailure"})
# SageMaker's message, with status 0, of a container that did not answer in time; a model's own error has a status.
NO_ANSWER_YET = (
    "Amazon SageMaker could not get a response from the",
    "Your invocation timed out while waiting for a response from container",
)
PASSING = LOADING | {"ThrottlingException", "Throttling"}
# SageMaker answers within 60 s, if only that the container has not; boto3 gives up after 60 s too, so it needs more.
READ_SECONDS = 70
PATIENCE_SECONDS, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 180, 0.5, 10
ASYNCHRONOUS_SECONDS, FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 900, 0.05, 1
_GONE = {"404", "NoSuchKey", "NotFound"}


class Row(TypedDict):
    """A line of `sample.jsonl`: a request, and the prediction that the evaluation computed for it."""

    content_type: str
    body: str
    prediction: float


class ModelAnswerError(Exception):
    """The model answered with an error, or not at all."""


class Invoker:
    """Sends a sample's rows to a variant of an endpoint, which answers in the content type `accept`.

    A container that is still starting is asked again for three minutes, counted once for all rows.
    """

    def __init__(self, hook: RetrainingHook, endpoint: str, accept: str, variant: str | None = None) -> None:
        self.hook = hook
        self.endpoint = endpoint
        self.accept = accept
        self.runtime = hook.client("sagemaker-runtime", attempts=1, read_timeout=READ_SECONDS)
        self.starting_until = time.monotonic() + PATIENCE_SECONDS
        self.target = {"TargetVariant": variant} if variant else {}

    def __call__(self, row: Row) -> bytes:
        """The answer. Raises ModelAnswerError for the model's own error, also when its container never comes back."""
        if len(row["body"].encode()) > LARGEST_BODY:
            raise AirflowFailException(
                f"the sample has a row of {len(row['body'].encode())} bytes; InvokeEndpoint takes {LARGEST_BODY}"
            )
        pause, deadline = FIRST_PAUSE_SECONDS, time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self.send(row)
            except ClientError as error:
                answer = error.response["Error"]
                late = time.monotonic() > deadline
                starts = is_starting(error) and time.monotonic() < self.starting_until
                if (answer["Code"] == "ModelError" and not starts) or (late and answer["Code"] in LOADING):
                    raise ModelAnswerError(answer["Message"]) from error
                if late or (answer["Code"] not in PASSING and not starts):
                    raise
                self.hook.log.info("%s; sending again in %.1f s", error, pause)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def send(self, row: Row) -> bytes:
        """One request."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=self.endpoint,
            ContentType=row["content_type"],
            Accept=self.accept,
            Body=row["body"],
            **self.target,
        )
        body: bytes = answer["Body"].read()
        return body


def is_starting(error: ClientError) -> bool:
    """Whether no container answered within SageMaker's 60 s: a serverless cold start, or a server that loads its model
    with the first request. The container goes on starting, so that the next call finds it up.
    """
    answer = error.response["Error"]
    return answer["Code"] == "ModelError" and any(text in answer["Message"] for text in NO_ANSWER_YET)


class AsynchronousInvoker(Invoker):
    """The same through S3: requests are put under `folder_uri`, answers come where the endpoint's config says."""

    def __init__(self, hook: RetrainingHook, endpoint: str, accept: str, folder_uri: str, kms_key: str | None) -> None:
        super().__init__(hook, endpoint, accept)
        self.folder_uri, self.kms_key = folder_uri, kms_key
        self.sent = 0

    def send(self, row: Row) -> bytes:
        """One request, and the wait for its answer."""
        location = f"{self.folder_uri}{self.sent:04}"
        self.sent += 1
        body = row["body"].encode()
        self.hook.write_bytes(location, body, kms_key=self.kms_key, content_type=row["content_type"])
        answer = self.runtime.invoke_endpoint_async(
            EndpointName=self.endpoint,
            ContentType=row["content_type"],
            Accept=self.accept,
            InputLocation=location,
        )
        pause, deadline = FIRST_LOOK_SECONDS, time.monotonic() + ASYNCHRONOUS_SECONDS
        while time.monotonic() < deadline:
            if (predictions := self.read(answer["OutputLocation"])) is not None:
                return predictions
            if (failure := self.read(answer.get("FailureLocation"))) is not None:
                raise ModelAnswerError(failure.decode(errors="replace"))
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK_SECONDS)
        raise ModelAnswerError(f"no answer at {answer['OutputLocation']} after {ASYNCHRONOUS_SECONDS} s")

    def read(self, uri: str | None) -> bytes | None:
        """The object, or None while there is none."""
        if uri is None:
            return None
        bucket, key = split_s3_uri(uri)
        try:
            return self.hook.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
            return None

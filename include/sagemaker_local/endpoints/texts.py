"""What sagemaker-runtime says of a container, in InvokeEndpoint's errors and in an endpoint's FailureReason."""

from __future__ import annotations

from include.sagemaker_local.context import Settings

TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)
SERVERLESS_TIMED_OUT = "Amazon SageMaker could not get a response from the {} endpoint."
SERVERLESS_EXITED = "An error occurred while handling request as the model process exited."


def log_group(endpoint: str) -> str:
    """Of an endpoint's containers."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def received(settings: Settings, endpoint: str, container: str, status: int, message: str) -> str:
    """`Received <client|server> error (<status>) from <container> with message "<message>". See …`"""
    kind = "client" if 400 <= status < 500 else "server"
    region, account = settings.region, settings.account
    return (
        f'Received {kind} error ({status}) from {container} with message "{message}". See '
        f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group="
        f"{log_group(endpoint)} in account {account} for more information."
    )

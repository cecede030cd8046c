"""What configuration files are made of: sections, and kinds of text.

Each kind of text is a pattern and words that say what would be right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from sagemaker_retraining.period import PERIOD_PATTERN


class Section(BaseModel):
    """A mapping in the YAML: unknown keys are errors, nothing is converted, every number is finite, nothing
    changes after loading."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Rule:
    """Annotation of a string: it must match `pattern` in full, `right` says in words what that is."""

    pattern: str
    right: str

    def check(self, value: str) -> str:
        """Return `value`, or raise ValueError with the sentence the user reads."""
        if re.fullmatch(self.pattern, value) is None:
            raise ValueError(f"{value!r} is not {self.right}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after pydantic made sure that it is a string."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Let editors check the pattern too (a JSON Schema)."""
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}


ModelName = Annotated[
    str,
    Rule(r"[a-z][a-z0-9_]{0,28}[a-z0-9]", "a model name: 2 to 30 of a-z, 0-9 and _, starting with a letter"),
]
EnvironmentName = Annotated[
    str, Rule(r"[a-z](?:-?[a-z0-9]){0,19}", "an environment name: at most 20 of a-z, 0-9 and -, such as staging")
]
PeriodText = Annotated[str, Rule(PERIOD_PATTERN, "a month written YYYY-MM, such as 2013-11")]
Region = Annotated[str, Rule(r"[a-z]{2}(?:-[a-z]+)+-[0-9]", "an AWS region such as eu-west-1")]
AccountId = Annotated[str, Rule(r"[0-9]{12}", "an AWS account id: 12 digits, in quotes")]
BucketName = Annotated[
    str,
    Rule(
        r"(?!.*\.\.)(?![0-9]+(?:\.[0-9]+){3}$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "a bucket name: 3 to 63 of a-z, 0-9, . and -, without s3:// or a path",
    ),
]
KeyPrefix = Annotated[
    str,
    Rule(
        r"(?=.{1,200}$)(?!\.{1,2}(?:/|$))[a-zA-Z0-9_.=-]+(?:/(?!\.{1,2}(?:/|$))[a-zA-Z0-9_.=-]+)*",
        "a key prefix: at most 200 of a-z, A-Z, 0-9, _ . = - and / in between, such as dev or teams/risk/dev",
    ),
]
S3Prefix = Annotated[
    str,
    Rule(
        r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(?:.*/)?",
        "an S3 prefix such as s3://bucket/path/ (with the / at the end)",
    ),
]
RoleArn = Annotated[
    str,
    Rule(
        r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[a-zA-Z_0-9+=,.@/-]+",
        "the ARN of an IAM role such as arn:aws:iam::123456789012:role/sagemaker-jobs",
    ),
]
KmsKey = Annotated[
    str,
    Rule(
        r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]+",
        "the ARN of a KMS key (no alias: policies cannot name one) such as "
        "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ),
]
# Which types exist ages with botocore: only what can never be one is an error here.
InstanceType = Annotated[str, Rule(r"ml\.[a-z0-9-]+\.[a-z0-9-]+", "a SageMaker instance type such as ml.m5.xlarge")]
# CreateProcessingJob refuses any other registry: "Please provide a valid Amazon Elastic Container Registry path".
ImageUri = Annotated[
    str,
    Rule(
        r"\d{12}\.dkr[.-]ecr\.[a-z0-9-]+\.[a-z.]+/[^\s:@]+(?:[:@][^\s]+)",
        "the URI of an image in Amazon ECR, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/xgboost:3.0-5",
    ),
]
ScriptName = Annotated[str, Rule(r"[A-Za-z_][A-Za-z0-9_]*\.py", "the name of a .py file in the model's folder")]
# Model and endpoint-config names are the endpoint's plus 11 characters; SageMaker allows 63.
EndpointName = Annotated[
    str,
    Rule(
        r"(?:[a-zA-Z0-9]|\{env\})(?:-*(?:[a-zA-Z0-9]|\{env\}))*",
        "a name of a-z, A-Z, 0-9 and -, with {env} where the environment's name belongs, such as fraud-{env}",
    ),
]
ContentType = Annotated[str, Rule(r"[a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+", "a content type such as text/csv")]
MetricName = Annotated[str, Rule(r"[A-Za-z0-9_.:-]{1,64}", "a metric's name such as auc")]
AlarmName = Annotated[
    str, Rule(r"[!-~](?:[ -~]{0,253}[!-~])?", "the name of a CloudWatch alarm: 1 to 255 printable characters")
]
TopicArn = Annotated[
    str,
    Rule(
        r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[a-zA-Z0-9_.-]+",
        "the ARN of an SNS topic such as arn:aws:sns:eu-west-1:123456789012:scored",
    ),
]
SubnetId = Annotated[str, Rule(r"subnet-[0-9a-f]{8,17}", "a subnet id such as subnet-0123456789abcdef0")]
SecurityGroupId = Annotated[str, Rule(r"sg-[0-9a-f]{8,17}", "a security group id such as sg-0123456789abcdef0")]
TagText = Annotated[str, Rule(r"[\w .:/=+@-]{1,128}", "tag text: 1 to 128 letters, digits, spaces and _ . : / = + - @")]
VariableName = Annotated[str, Rule(r"[a-zA-Z_][a-zA-Z0-9_]*", "a name such as LOG_LEVEL: letters, digits and _")]

ContentTypes = Annotated[tuple[ContentType, ...], Field(strict=False, min_length=1)]
InstanceTypes = Annotated[tuple[InstanceType, ...], Field(strict=False, min_length=1)]
Scalar = bool | int | float | str

"""The bucket of an environment: it exists, in the right region, and its settings neither lose nor expose data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from sagemaker_retraining.doctor.answers import LifecycleRule
from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.errors import code_of, is_denied
from sagemaker_retraining.doctor.findings import Check, Finding, ok, unknown, wrong
from sagemaker_retraining.doctor.scope import Scope

FIRST_REGION = "us-east-1"
"""GetBucketLocation answers with nothing for this region."""
KEPT = ("runs/", "code/")
"""Below a model's prefix: the artefacts of versions that serve or that a rollback may choose, and their code."""


def bucket_checks(aws: Aws, scope: Scope) -> Iterator[Check]:
    """First whether it exists; then each setting by itself, because each needs a permission of its own."""
    subject = f"bucket {scope.environment.bucket}"
    looks: tuple[tuple[str, Callable[..., Iterator[Finding]]], ...] = (
        (subject, _region),
        ("bucket versioning", _versioning),
        ("bucket encryption", _encryption),
        ("bucket public access", _public_access),
        ("bucket lifecycle", _lifecycle),
    )
    for name, look in looks:
        yield Check(name, partial(_there, aws, scope, name, look))


def _there(aws: Aws, scope: Scope, subject: str, look: Callable[..., Iterator[Finding]]) -> Iterator[Finding]:
    """What a check finds; about a bucket that does not exist only the first check says something."""
    try:
        yield from look(aws, scope, subject)
    except ClientError as error:
        if code_of(error) not in {"404", "NoSuchBucket"}:
            raise
        if look is _region:
            yield wrong(subject, "there is no such bucket; create it, or correct `bucket` in the environment's file")


def _region(aws: Aws, scope: Scope, subject: str) -> Iterator[Finding]:
    s3, where = aws.client("s3"), scope.environment
    try:
        head = s3.head_bucket(Bucket=where.bucket)
    except ClientError as error:
        if not is_denied(error):
            raise
        yield unknown(subject, "403: not allowed to list it (s3:ListBucket), or it is another account's")
        return
    region = head.get("BucketRegion") or _location(s3, where.bucket)
    if region != where.region:
        text = f"is in {region}, jobs run in {where.region}, and SageMaker takes no other: take a bucket there"
        yield wrong(subject, f"{text}, or correct `region`")
    else:
        yield ok(subject, f"is there, in {region}")


def _location(s3: Any, bucket: str) -> str:
    """The region of a bucket; the oldest buckets have another name for Ireland."""
    region = str(s3.get_bucket_location(Bucket=bucket).get("LocationConstraint") or FIRST_REGION)
    return "eu-west-1" if region == "EU" else region


def _versioning(aws: Aws, scope: Scope, subject: str) -> Iterator[Finding]:
    bucket = scope.environment.bucket
    if aws.client("s3").get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled":
        yield ok(subject, "enabled")
    else:
        command = f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled"
        yield wrong(subject, f"off: a model or data set that somebody overwrites or deletes is lost; {command}")


def _encryption(aws: Aws, scope: Scope, subject: str) -> Iterator[Finding]:
    try:
        answer = aws.client("s3").get_bucket_encryption(Bucket=scope.environment.bucket)
        rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        if code_of(error) != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        rules = []
    default: Mapping[str, str] = next((rule["ApplyServerSideEncryptionByDefault"] for rule in rules if rule), {})
    found = default.get("KMSMasterKeyID")
    yield judge_encryption(subject, default.get("SSEAlgorithm", "AES256"), found and key_arn(aws, found), scope.keys)


def key_arn(aws: Aws, key: str) -> str:
    """The ARN of a key that is named by id, alias or ARN; the name itself when DescribeKey is not allowed."""
    try:
        return str(aws.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Arn"])
    except ClientError:
        return key


def judge_encryption(subject: str, algorithm: str, default: str | None, wanted: Mapping[str, str]) -> Finding:
    """Compare the bucket's default key with those of the file; `wanted` is, by ARN, the name in the file."""
    if default is None or algorithm == "AES256":
        if not wanted:
            return ok(subject, f"{algorithm} by default; the file names no key")
        name = next(iter(wanted.values()))
        return wrong(
            subject,
            f"{algorithm} by default, {name} is set: what is put without a key, such as raw data, is not encrypted "
            f"with it; make that key the bucket's default (aws s3api put-bucket-encryption)",
        )
    if default in wanted:
        return ok(subject, f"{algorithm} with {wanted[default]} by default")
    return wrong(
        subject,
        f"{algorithm} with {default} by default, which the file does not name, so that the policies of include/iam "
        f"do not allow the roles to use it; set kms_key_arn to it, or change the bucket's default",
    )


def _public_access(aws: Aws, scope: Scope, subject: str) -> Iterator[Finding]:
    bucket = scope.environment.bucket
    try:
        block = aws.client("s3").get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if code_of(error) != "NoSuchPublicAccessBlockConfiguration":
            raise
        block = {}
    if open_ways := [way for way in _WAYS if not block.get(way)]:
        command = f"aws s3api put-public-access-block --bucket {bucket} --public-access-block-configuration "
        yield wrong(subject, f"{', '.join(open_ways)} off; {command}{','.join(f'{way}=true' for way in _WAYS)}")
    else:
        yield ok(subject, "blocked")


_WAYS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def _lifecycle(aws: Aws, scope: Scope, subject: str) -> Iterator[Finding]:
    try:
        rules = aws.client("s3").get_bucket_lifecycle_configuration(Bucket=scope.environment.bucket)["Rules"]
    except ClientError as error:
        if code_of(error) != "NoSuchLifecycleConfiguration":
            raise
        rules = []
    start = scope.environment.key_prefix
    kept = [f"{start}{model.model}/{part}" for model in scope.models for part in KEPT]
    yield judge_lifecycle(subject, rules, kept)


def judge_lifecycle(subject: str, rules: Iterable[LifecycleRule], kept: Iterable[str]) -> Finding:
    """Rules that delete or freeze what versions of the registry need.

    Endpoints whose artefact is gone cannot be patched, scaled or gone back to. Rules for objects with certain tags are
    not ours: SageMaker puts no tags on artefacts.
    """
    prefixes, bad = list(kept), []
    for rule in rules:
        criteria = rule.get("Filter", {})
        criteria = criteria.get("And", criteria)
        prefix = criteria.get("Prefix", rule.get("Prefix", ""))
        met = [one for one in prefixes if one.startswith(prefix) or prefix.startswith(one)]
        tagged = "Tag" in criteria or "Tags" in criteria
        if rule.get("Status") == "Enabled" and met and not tagged and (what := _does(rule)):
            bad.append(f"rule {rule.get('ID', '(without a name)')} {what} in {prefix or met[0]}")
    if bad:
        advice = "versions lose their model; keep such rules off runs/ and code/"
        return wrong(subject, f"{'; '.join(bad)}: {advice}")
    return ok(subject, "no rule removes models or their code")


def _does(rule: LifecycleRule) -> str:
    """What a rule does to current objects that makes them unreadable; empty when nothing."""
    expiration = rule.get("Expiration", {})
    if "Days" in expiration or "Date" in expiration:
        return f"deletes objects after {expiration['Days']} days" if "Days" in expiration else "deletes objects"
    frozen = [move["StorageClass"] for move in rule.get("Transitions", [])]
    frozen = [name for name in frozen if name in {"GLACIER", "DEEP_ARCHIVE"}]  # GLACIER_IR is read at once
    return f"moves objects to {frozen[0]}, from where nothing can be read at once," if frozen else ""

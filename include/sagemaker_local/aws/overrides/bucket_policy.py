"""What a bucket's policy forbids everybody, such as new objects that are not encrypted as it demands.

moto denies what a Deny is about whatever its conditions say, so its own look at policies is replaced. Statements about
some principals only are not looked at: nobody here has a password. The account's callers need no Allow.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket, s3_backends

from include.sagemaker_local.aws.overrides.policies import ALLOWED, EXPLICIT_DENY, AccessRequest, as_list, evaluate
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.types import Environ
from include.sagemaker_local.identity import access_key

_KEYS = {
    "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION": "s3:x-amz-server-side-encryption",
    "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_AWS_KMS_KEY_ID": "s3:x-amz-server-side-encryption-aws-kms-key-id",
}
_NOT_OBJECTS = {"acl", "tagging", "retention", "legal-hold", "torrent", "uploadId", "select", "restore", "delete"}
_PUT = "s3:PutObject"
_ANSWERS = {ALLOWED: PermissionResult.PERMITTED, EXPLICIT_DENY: PermissionResult.DENIED}


def use_own_policy_evaluation() -> None:
    """Let moto's S3 use this module's evaluation of bucket policies."""
    setattr(FakeBucket, "get_permission", _permission)  # noqa: B010  (a method for mypy)


def check_bucket_policy(environ: Environ, service: str, account: str) -> None:
    """Raise AccessDenied for PutObject, CopyObject and CreateMultipartUpload that the bucket's policy denies."""
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    if service not in ("", "s3") or not key or not _begins_an_object(environ):
        return
    found = s3_backends[account]["aws"].buckets.get(bucket)
    policy = getattr(found, "policy", None)
    resource, context = f"arn:aws:s3:::{bucket}/{key}", {n: environ[h] for h, n in _KEYS.items() if h in environ}
    if policy is not None and _decision(policy, _PUT, resource, context) == EXPLICIT_DENY:
        user = f"arn:aws:iam::{account}:user/{access_key(environ.get('HTTP_AUTHORIZATION', ''))}"
        raise AwsError(
            "AccessDenied",
            f'User: {user} is not authorized to perform: {_PUT} on resource: "{resource}" with an explicit deny in a '
            f"resource-based policy",
            status=403,
        )


def _begins_an_object(environ: Environ) -> bool:
    """A part needs no headers: the upload that it is of had them."""
    query = set(parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    if environ["REQUEST_METHOD"] == "POST":
        return "uploads" in query
    return environ["REQUEST_METHOD"] == "PUT" and not _NOT_OBJECTS & query


def _permission(bucket: Any, action: str, resource: str) -> PermissionResult:
    """moto's question, which comes without the request's headers: of new objects they were looked at before."""
    if bucket.policy is None or action == _PUT:
        return PermissionResult.NEUTRAL
    return _ANSWERS.get(_decision(bucket.policy, action, resource, {}), PermissionResult.NEUTRAL)


def _decision(policy: bytes, action: str, resource: str, context: Mapping[str, str]) -> str:
    document = json.loads(policy)
    everybody = [s for s in as_list(document["Statement"]) if s.get("Principal") in ("*", {"AWS": "*"})]
    request = AccessRequest(action, resource, {**context, "aws:SecureTransport": "true"})
    try:
        return evaluate([{"Statement": everybody}], request)
    except ValueError as error:
        raise AwsError("PolicyEvaluation", f"The policy of the bucket of {resource}: {error}.", status=501) from error

"""doctor on the bucket, its keys and the raw data in it: one fault at a time, and the line that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sagemaker_retraining.doctor.bucket import bucket_checks
from sagemaker_retraining.doctor.data import data_checks
from sagemaker_retraining.doctor.findings import Status
from sagemaker_retraining.doctor.keys import key_checks
from tests.kits.doctor_kit import (
    ACCOUNT,
    NEWEST,
    REGION,
    Fault,
    World,
    assert_fine,
    assert_wrong,
)


def put(world: World, name: str, **settings: Any) -> None:
    getattr(world.client("s3"), f"put_bucket_{name}")(Bucket=world.bucket, **settings)


def rule(**parts: Any) -> Fault:
    whole = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}, **parts}
    return lambda world: put(world, "lifecycle_configuration", LifecycleConfiguration={"Rules": [whole]})


def default_key(world: World) -> None:
    key = world.client("kms").create_key()["KeyMetadata"]["Arn"]
    encrypt(world, key)


def encrypt(world: World, key: str) -> None:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
    put(world, "encryption", ServerSideEncryptionConfiguration=rules)


def name_a_key(world: World) -> None:
    world.environment(f"kms_key_arn: {world.client('kms').create_key()['KeyMetadata']['Arn']}\n")


def elsewhere(world: World) -> None:
    name = f"{world.bucket}-west"
    world.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    put_like(world, name)
    world.text = world.text.replace(world.bucket, name)
    world.environment()


def put_like(world: World, name: str) -> None:
    world.bucket, before = name, world.bucket
    put(world, "versioning", VersioningConfiguration={"Status": "Enabled"})
    block = world.client("s3").get_public_access_block(Bucket=before)["PublicAccessBlockConfiguration"]
    world.client("s3").put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)
    world.bucket = before


def forget(world: World) -> None:
    world.text = world.text.replace(world.bucket, "no-such-bucket")
    world.environment()


@pytest.mark.parametrize(
    ("fault", "subject", "said"),
    [
        (forget, "bucket no-such-bucket", "there is no such bucket; create it, or correct `bucket`"),
        (elsewhere, "bucket", "is in eu-west-1, jobs run in us-east-1"),
        (
            lambda world: put(world, "versioning", VersioningConfiguration={"Status": "Suspended"}),
            "bucket versioning",
            "aws s3api put-bucket-versioning --bucket",
        ),
        (default_key, "bucket encryption", "by default, which the file does not name"),
        (name_a_key, "bucket encryption", "kms_key_arn is set: what is put without a key"),
        (
            lambda world: world.client("s3").delete_public_access_block(Bucket=world.bucket),
            "bucket public access",
            "BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets off; aws s3api put-public-",
        ),
        (rule(Expiration={"Days": 90}), "bucket lifecycle", "rule tidy deletes objects after 90 days"),
        (
            rule(Transitions=[{"Days": 30, "StorageClass": "GLACIER"}], Filter={"Prefix": "demo_model/runs/"}),
            "bucket lifecycle",
            "rule tidy moves objects to GLACIER",
        ),
    ],
    ids=["missing", "region", "versioning", "another key", "no key", "public", "expiry", "glacier"],
)
def test_the_bucket(world: World, fault: Fault, subject: str, said: str) -> None:
    assert_fine(world.look(bucket_checks))
    fault(world)
    found = world.look(bucket_checks)
    assert_wrong(found, next(one.subject for one in found if one.subject.startswith(subject)), said)


def test_a_bucket_whose_default_is_the_key_of_the_file(world: World) -> None:
    """By whichever name: its id, its alias, its ARN."""
    kms = world.client("kms")
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName=f"alias/{world.id}", TargetKeyId=key["KeyId"])
    world.environment(f"kms_key_arn: {key['Arn']}\n")
    for name in (key["KeyId"], f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/{world.id}", key["Arn"]):
        encrypt(world, name)
        assert_fine(world.look(bucket_checks))


def disable(kms: Any, key: str) -> None:
    kms.disable_key(KeyId=key)


def schedule(kms: Any, key: str) -> None:
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)


def close(kms: Any, key: str) -> None:
    someone = {"AWS": f"arn:aws:iam::{ACCOUNT}:role/admin"}
    only = {"Effect": "Allow", "Principal": someone, "Action": "kms:*", "Resource": "*"}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps({"Statement": [only]}))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (disable, "is Disabled; enable it"),
        (schedule, "is PendingDeletion"),
        (close, "names neither the account nor arn:aws:iam::123456789012:role/"),
    ],
)
def test_a_key(world: World, fault: Callable[[Any, str], None], said: str) -> None:
    kms = world.client("kms")
    key = kms.create_key()["KeyMetadata"]
    world.environment(f"volume_kms_key_arn: {key['Arn']}\n")
    assert_fine(world.look(key_checks))
    fault(kms, key["KeyId"])
    assert_wrong(world.look(key_checks), "volume_kms_key_arn", said)


def test_a_key_that_is_not_there(world: World) -> None:
    world.environment(f"kms_key_arn: arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555\n")
    assert_wrong(world.look(key_checks), "kms_key_arn", "does not exist; correct it in the environment's file")


def test_raw_data(world: World) -> None:
    assert_fine(world.look(data_checks))
    s3, place = world.client("s3"), f"s3://{world.bucket}/demo_model/raw/"
    s3.delete_object(Bucket=world.bucket, Key=f"demo_model/raw/period={NEWEST.add(-1)}/_SUCCESS")
    [finding] = world.look(data_checks)
    assert (finding.status, finding.text.rpartition("; ")[2]) == (Status.OK, f"not there: {NEWEST.add(-1)}")
    world.environment(model="{data: {history_months: 2}}")
    said = f"history_months 2 of {NEWEST} lacks {NEWEST.add(-1)}"
    assert_wrong(world.look(data_checks), "raw data of demo_model", said)
    s3.delete_object(Bucket=world.bucket, Key=f"demo_model/raw/period={NEWEST}/_SUCCESS")
    said = f"{place}period={NEWEST}/_SUCCESS is not there; complete months are {NEWEST.add(-2)} to {NEWEST.add(-2)}"
    assert_wrong(world.look(data_checks), "raw data of demo_model", said)
    world.environment(model='{data: {raw_uri: "s3://no-such-bucket/raw/"}}')
    assert_wrong(world.look(data_checks), "raw data of demo_model", "there is no such bucket")

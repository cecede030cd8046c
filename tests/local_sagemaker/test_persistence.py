"""What survives a stop, and a kill -9: S3 with all versions, IAM, logs, rules, queues, tags, SageMaker's resources."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import LocalSageMaker
from tests.kits.figures import report

Make = Callable[..., LocalSageMaker]
OLD_STATE = Path(__file__).parent / "old_state"
LIMITED = """
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
sys.argv[0] = "sagemaker_local"
runpy.run_module("include.sagemaker_local", run_name="__main__")
"""


def fill(server: LocalSageMaker) -> None:
    """Something in every service that is kept."""
    s3 = server.client("s3")
    s3.put_bucket_versioning(Bucket=server.bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"one", b"two", b"three"):
        s3.put_object(Bucket=server.bucket, Key="versioned", Body=body, Metadata={"my_key": "v"}, Tagging="team=a")
    s3.put_object(Bucket=server.bucket, Key="gone", Body=b"deleted")
    s3.delete_object(Bucket=server.bucket, Key="gone")
    s3.put_object(Bucket=server.bucket, Key="empty", Body=b"")
    s3.upload_fileobj(io.BytesIO(bytes(range(256)) * 40_000), server.bucket, "multipart")
    logs = server.client("logs")
    logs.create_log_group(logGroupName="/g")
    logs.create_log_stream(logGroupName="/g", logStreamName="s")
    events = [{"timestamp": int(time.time() * 1000) + i, "message": f"line {i}"} for i in range(20)]
    logs.put_log_events(logGroupName="/g", logStreamName="s", logEvents=events)
    iam = server.client("iam")
    iam.create_role(RoleName="extra", AssumeRolePolicyDocument="{}", Tags=[{"Key": "a", "Value": "b"}])
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="extra", PolicyName="p", PolicyDocument=policy)
    sqs = server.client("sqs")
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="waiting")
    rules = server.client("events")
    rules.put_rule(Name="r", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    rules.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:123456789012:q"}])
    server.client("sns").create_topic(Name="t")
    server.client("ecr").create_repository(repositoryName="images")
    server.client("cloudwatch").put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 1.0}])
    server.client("kms").create_key(Description="k")
    server.client("ssm").put_parameter(Name="p", Value="v", Type="String")
    server.client("secretsmanager").create_secret(Name="s", SecretString="x")
    server.client("sagemaker").create_model_package_group(ModelPackageGroupName="kept")


def content(server: LocalSageMaker) -> dict[str, Any]:
    """What clients see of it, down to ids, ETags and dates; not messages in queues: looking takes them."""
    s3, bucket = server.client("s3"), server.bucket
    versions = s3.list_object_versions(Bucket=bucket)
    newest = s3.get_object(Bucket=bucket, Key="versioned")
    seen = {
        "versions": versions["Versions"],
        "bodies": [
            s3.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])["Body"].read()
            for version in versions["Versions"]
        ],
        "markers": versions["DeleteMarkers"],
        "metadata": newest["Metadata"],
        "tags": s3.get_object_tagging(Bucket=bucket, Key="versioned")["TagSet"],
        "part": s3.get_object(Bucket=bucket, Key="multipart", Range="bytes=250-260")["Body"].read(),
        "logs": server.client("logs").get_log_events(logGroupName="/g", logStreamName="s")["events"],
        "role": server.client("iam").get_role(RoleName="extra")["Role"],
        "policy": server.client("iam").get_role_policy(RoleName="extra", PolicyName="p")["PolicyDocument"],
        "rules": server.client("events").list_rules()["Rules"],
        "targets": server.client("events").list_targets_by_rule(Rule="r")["Targets"],
        "topics": server.client("sns").list_topics()["Topics"],
        "repositories": server.client("ecr").describe_repositories()["repositories"],
        "metrics": server.client("cloudwatch").list_metrics(Namespace="n")["Metrics"],
        "keys": server.client("kms").list_keys()["Keys"],
        "parameter": server.client("ssm").get_parameter(Name="p")["Parameter"],
        "secret": server.client("secretsmanager").get_secret_value(SecretId="s")["SecretString"],
    }
    group = server.client("sagemaker").describe_model_package_group(ModelPackageGroupName="kept")
    del group["ResponseMetadata"]
    return seen | {"group": group}


def message(server: LocalSageMaker) -> str:
    sqs = server.client("sqs")
    found: str = sqs.receive_message(QueueUrl=sqs.get_queue_url(QueueName="q")["QueueUrl"])["Messages"][0]["Body"]
    return found


def test_everything_survives_two_restarts(make_sagemaker_local: Make) -> None:
    server = make_sagemaker_local().start()
    fill(server)
    before = content(server)
    assert [version["Key"] for version in before["versions"]].count("versioned") == 3
    server.restart()
    assert content(server) == before
    server.restart()
    assert content(server) == before
    assert message(server) == "waiting"
    assert server.stop() == 0


def test_everything_acknowledged_survives_kill_9(make_sagemaker_local: Make) -> None:
    server = make_sagemaker_local().start()
    fill(server)
    before = content(server)
    server.client("s3").put_object(Bucket=server.bucket, Key="written-last", Body=b"last")
    server.kill()
    server.start()
    after = content(server)
    last = [version for version in after["versions"] if version["Key"] == "written-last"]
    assert len(last) == 1
    after["versions"].remove(last[0])
    after["bodies"].remove(b"last")
    assert after == before


def test_what_changes_inside_a_key_or_bucket_survives_kill_9(make_sagemaker_local: Make) -> None:
    """Nothing of this makes a key or a bucket; an unfinished upload, rules and emptiness are kept as well."""
    server = make_sagemaker_local().start()
    s3, bucket = server.client("s3"), server.bucket
    for key in ("tagged", "public", "untagged"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x", Tagging="a=b")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    first = s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=1, Body=b"1" * 5 * 1024 * 1024)
    s3.create_bucket(Bucket="removed")
    s3.delete_bucket(Bucket="removed")
    s3.create_bucket(Bucket="with-rules")
    rules = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://example.com"]}]}
    s3.put_bucket_cors(Bucket="with-rules", CORSConfiguration=rules)
    server.kill()
    server.start()
    s3.put_object_tagging(Bucket=bucket, Key="tagged", Tagging={"TagSet": [{"Key": "c", "Value": "d"}]})
    s3.delete_object_tagging(Bucket=bucket, Key="untagged")
    s3.put_object_acl(Bucket=bucket, Key="public", ACL="public-read")
    second = s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=2, Body=b"2")
    server.kill()
    server.start()
    assert s3.get_object_tagging(Bucket=bucket, Key="tagged")["TagSet"] == [{"Key": "c", "Value": "d"}]
    assert s3.get_object_tagging(Bucket=bucket, Key="untagged")["TagSet"] == []
    assert any(
        "AllUsers" in grant["Grantee"].get("URI", "")
        for grant in s3.get_object_acl(Bucket=bucket, Key="public")["Grants"]
    )
    parts = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in ((1, first), (2, second))]
    s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    server.kill()
    server.start()
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == b"1" * 5 * 1024 * 1024 + b"2"
    assert s3.get_bucket_cors(Bucket="with-rules")["CORSRules"] == rules["CORSRules"]
    assert sorted(found["Name"] for found in s3.list_buckets()["Buckets"]) == [bucket, "with-rules"]


def test_deleted_logs_stay_deleted(make_sagemaker_local: Make) -> None:
    server = make_sagemaker_local().start()
    logs = server.client("logs")
    event = {"timestamp": int(time.time() * 1000), "message": "old"}
    for group in ("/kept", "/gone"):
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")
        logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=[event])
    logs.delete_log_stream(logGroupName="/kept", logStreamName="s")
    logs.delete_log_group(logGroupName="/gone")
    server.kill()
    server.start()
    assert [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]] == ["/kept"]
    logs.create_log_stream(logGroupName="/kept", logStreamName="s")
    assert logs.get_log_events(logGroupName="/kept", logStreamName="s")["events"] == []


def test_a_body_is_stored_once_and_goes_when_unused(make_sagemaker_local: Make) -> None:
    server = make_sagemaker_local().start()
    s3, bodies = server.client("s3"), server.state / "aws/bodies"
    for name in ("a", "b", "c"):
        s3.put_object(Bucket=server.bucket, Key=name, Body=b"the same")
    assert len(list(bodies.iterdir())) == 1
    s3.put_object(Bucket=server.bucket, Key="d", Body=b"another")
    for name in ("a", "b", "c"):
        s3.delete_object(Bucket=server.bucket, Key=name)
    server.restart()
    assert [path.read_bytes() for path in bodies.iterdir()] == [b"another"]


@pytest.mark.parametrize("name", ["state.sqlite", "snapshot.pickle"])
def test_a_broken_state_stops_the_start_and_deletes_nothing(make_sagemaker_local: Make, name: str) -> None:
    server = make_sagemaker_local().start()
    server.client("s3").put_object(Bucket=server.bucket, Key="a", Body=b"kept")
    server.stop()
    if name == "snapshot.pickle":
        (server.state / "aws/state.sqlite").unlink()
    (server.state / "aws" / name).write_bytes(b"broken" * 1000)
    with pytest.raises(RuntimeError, match=rf"{name} cannot be read .* move it away"):
        server.start()
    assert server.process is not None
    assert server.process.poll() == 2
    assert [path.read_bytes() for path in (server.state / "aws/bodies").iterdir()] == [b"kept"]


def test_a_state_of_another_moto_is_refused(make_sagemaker_local: Make) -> None:
    server = make_sagemaker_local().start()
    server.stop()
    with sqlite3.connect(server.state / "aws/state.sqlite") as database:
        database.execute("UPDATE meta SET value='1.0' WHERE name='moto'")
    with pytest.raises(RuntimeError, match=r"moto 1\.0 wrote it, this is moto .* move it away"):
        server.start()


@pytest.mark.parametrize("name", ["snapshot.pickle", "state.sqlite"])
def test_the_state_of_an_earlier_version_is_taken_over(make_sagemaker_local: Make, name: str) -> None:
    """Both files name modules that have moved since (tests/local_sagemaker/old_state/README.md)."""
    server = make_sagemaker_local()
    shutil.copytree(OLD_STATE / "bodies", server.state / "aws/bodies")
    shutil.copy(OLD_STATE / name, server.state / "aws" / name)
    server.start()
    server.client("sagemaker").create_model_package_group(ModelPackageGroupName="kept")  # SageMaker's own are not in it
    seen = content(server)
    server.kill()
    server.start()
    assert content(server) == seen
    assert not (server.state / "aws/snapshot.pickle").exists()
    assert [version["Key"] for version in seen["versions"]].count("versioned") == 3
    assert sorted(seen["bodies"]) == [b"", b"deleted", b"one", b"part" * 100, b"three", b"two"]
    assert [event["message"] for event in seen["logs"]] == [f"line {number}" for number in range(20)]
    assert message(server) == "waiting"


def test_a_start_with_20_000_objects_takes_less_than_2_seconds(make_sagemaker_local: Make) -> None:
    """Against an empty state, so that a busy machine counts twice: the objects cost less than a second of the two."""
    empty, full = make_sagemaker_local("empty").start(), make_sagemaker_local("full").start()
    full.client("s3").put_object(Bucket=full.bucket, Key="first", Body=b"first")
    for server in (empty, full):
        server.stop()
    with sqlite3.connect(full.state / "aws/state.sqlite") as database:
        row = database.execute("SELECT state FROM things WHERE kind='s3 key'").fetchone()[0]
        rows = [("s3 key", full.bucket, f"key/{number}", row, f'["{number:064x}"]') for number in range(20_000)]
        database.executemany("INSERT INTO things VALUES (?, ?, ?, ?, ?)", rows)
    for number in range(20_000):
        (full.state / f"aws/bodies/{number:064x}").write_bytes(b"")
    seconds = {server.state.name: min(_restart_seconds(server) for _ in range(3)) for server in (empty, full)}
    report(f"until health answers: {seconds['full']:.2f} s, without objects {seconds['empty']:.2f} s")
    assert seconds["full"] - seconds["empty"] < 1
    assert len(list((full.state / "aws/bodies").iterdir())) == 20_001
    assert full.client("s3").get_object(Bucket=full.bucket, Key="key/19999")["Body"].read() == b"first"


def _restart_seconds(server: LocalSageMaker) -> float:
    if server.process is not None and server.process.poll() is None:
        server.kill()
    started = time.monotonic()
    server.start()
    return time.monotonic() - started


def test_what_is_not_kept_is_not_implemented(make_sagemaker_local: Make) -> None:
    """A table that would be gone after a restart is never made; boto3 does not try 501 again."""
    server = make_sagemaker_local().start()
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("dynamodb", "list_tables", {}),  # JSON
        ("glue", "get_databases", {}),
        ("stepfunctions", "list_state_machines", {}),
        ("cloudformation", "list_stacks", {}),  # query
        ("ec2", "describe_instances", {}),  # XML of its own kind
        ("apigateway", "get_rest_apis", {}),  # REST, JSON
        ("cognito-idp", "list_user_pools", {"MaxResults": 1}),
        ("lambda", "list_functions", {}),
        ("route53", "list_hosted_zones", {}),  # REST, XML
        ("cloudwatch", "start_metric_streams", {"Names": ["x"]}),  # CBOR
    ]
    for service, operation, parameters in calls:
        with pytest.raises(ClientError) as refused:
            getattr(server.client(service), operation)(**parameters)
        response = refused.value.response
        assert (service, response["Error"]["Code"]) == (service, "UnsupportedOperation")
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 501
        assert "not implemented by the local SageMaker" in response["Error"]["Message"]


def test_a_full_disk_fails_the_write_and_nothing_else(make_sagemaker_local: Make, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: contents above it cannot be written."""
    server = make_sagemaker_local()
    server.program = ("-c", LIMITED)
    server.start()
    s3 = server.client("s3")
    s3.put_object(Bucket=server.bucket, Key="before", Body=b"before")
    with pytest.raises(ClientError, match=r"InternalError.*could not keep it in its state directory"):
        s3.put_object(Bucket=server.bucket, Key="large", Body=bytes(6_000_000))
    s3.put_object(Bucket=server.bucket, Key="after", Body=b"after")
    server.program = LocalSageMaker.program
    server.kill()
    server.start()
    found = {item["Key"] for item in s3.list_objects_v2(Bucket=server.bucket)["Contents"]}
    assert found == {"before", "after"}
    assert sorted(path.read_bytes() for path in (server.state / "aws/bodies").iterdir()) == [b"after", b"before"]


def test_sixteen_threads_at_once(make_sagemaker_local: Make) -> None:
    server = make_sagemaker_local().start()
    s3 = server.client("s3")
    logs = server.client("logs")
    logs.create_log_group(logGroupName="/g")

    def work(number: int) -> list[str]:
        logs.create_log_stream(logGroupName="/g", logStreamName=f"s{number}")
        wrong = []
        for round_ in range(10):
            key, body = f"{number}/{round_}", f"{number} {round_}".encode() * 2000
            s3.put_object(Bucket=server.bucket, Key=key, Body=body)
            event = {"timestamp": int(time.time() * 1000), "message": key}
            logs.put_log_events(logGroupName="/g", logStreamName=f"s{number}", logEvents=[event])
            if s3.get_object(Bucket=server.bucket, Key=key)["Body"].read() != body:
                wrong.append(key)
        return wrong

    with ThreadPoolExecutor(16) as pool:
        assert [wrong for wrongs in pool.map(work, range(16)) for wrong in wrongs] == []
    assert len(s3.list_objects_v2(Bucket=server.bucket)["Contents"]) == 160
    for number in range(16):
        events = logs.get_log_events(logGroupName="/g", logStreamName=f"s{number}")["events"]
        assert [event["message"] for event in events] == [f"{number}/{round_}" for round_ in range(10)]


def test_memory_stays_small_with_a_years_data(make_sagemaker_local: Make) -> None:
    """30 MB in twelve partitions, written and read, is well under the 400 MB the server may use."""
    server = make_sagemaker_local().start()
    s3 = server.client("s3")
    for month in range(12):
        s3.put_object(Bucket=server.bucket, Key=f"raw/{month}.parquet", Body=bytes([month]) * 2_500_000)
    for month in range(12):
        s3.get_object(Bucket=server.bucket, Key=f"raw/{month}.parquet")["Body"].read()
    assert server.health()["memory_rss_bytes"] < 400_000_000

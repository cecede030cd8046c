"""What survives a stop, and a kill -9: S3 with all versions, IAM, logs, rules, queues, tags, SageMaker's resources."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import LocalSageMaker

Make = Callable[..., LocalSageMaker]


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


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.05)


def test_everything_saved_survives_kill_9(make_sagemaker_local: Make) -> None:
    server = make_sagemaker_local().start()
    fill(server)
    before = content(server)
    server.client("s3").put_object(Bucket=server.bucket, Key="written-last", Body=b"last")
    snapshot = server.state / "aws/snapshot.pickle"
    wait_for(lambda: snapshot.exists() and b"written-last" in snapshot.read_bytes(), "a snapshot with the last object")
    server.kill()
    server.start()
    after = content(server)
    last = [version for version in after["versions"] if version["Key"] == "written-last"]
    assert len(last) == 1
    after["versions"].remove(last[0])
    after["bodies"].remove(b"last")
    assert after == before


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


def test_a_broken_snapshot_stops_the_start_and_deletes_nothing(make_sagemaker_local: Make) -> None:
    server = make_sagemaker_local().start()
    server.client("s3").put_object(Bucket=server.bucket, Key="a", Body=b"kept")
    server.stop()
    (server.state / "aws/snapshot.pickle").write_bytes(b"broken")
    with pytest.raises(RuntimeError, match=r"snapshot\.pickle cannot be read .* move it away"):
        server.start()
    assert server.process is not None
    assert server.process.poll() == 2
    assert [path.read_bytes() for path in (server.state / "aws/bodies").iterdir()] == [b"kept"]


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
    server.stop()
    assert (server.state / "aws/snapshot.pickle").stat().st_size < 1_000_000

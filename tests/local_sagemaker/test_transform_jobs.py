"""Transform jobs really run: requests of the right size to the model's container, outputs in S3, every way they end."""

from __future__ import annotations

import gzip
import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from include.sagemaker_local.jobs.record import RESTARTED
from tests.conftest import LocalSageMaker
from tests.kits.job_kit import eventually
from tests.kits.transform_kit import Transforms

pytestmark = pytest.mark.slow

CLIENT_ERROR = "ClientError: See job logs for more information"
ALGORITHM_ERROR = "AlgorithmError: See job logs for more information"


@pytest.fixture(scope="module")
def jobs(sagemaker_local: LocalSageMaker) -> Transforms:
    return Transforms(sagemaker_local)


def refused(jobs: Transforms, request: dict[str, Any]) -> tuple[str, str]:
    """Code and text of the error of CreateTransformJob."""
    with pytest.raises(ClientError) as caught:
        jobs.sagemaker.create_transform_job(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def sizes(jobs: Transforms, name: str) -> list[int]:
    """How many lines each request had."""
    lines, _ = jobs.streams(name)
    return [int(line.removeprefix("request of ")) for line in lines if line.startswith("request of ")]


def test_every_object_becomes_an_output_of_its_own(jobs: Transforms) -> None:
    tags = [{"Key": "team", "Value": "ml"}]
    job = jobs.transform(
        "tr-plain",
        {"a.csv": "1,2\n3,4\n", "sub/b.csv": "5\n"},
        SplitType="Line",
        AssembleWith="Line",
        Environment={"COLOUR": "blue"},
        Tags=tags,
    )
    assert (job["TransformJobStatus"], job.get("FailureReason")) == ("Completed", None)
    assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
    assert job["DataProcessing"] == {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    assert job["TransformInput"]["CompressionType"] == "None"
    assert jobs.outputs("tr-plain") == {"a.csv.out": "3.0\n7.0\n", "sub/b.csv.out": "5.0\n"}
    container, data = jobs.streams("tr-plain")
    assert "batch true None None None blue" in container
    assert data == ["MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD"]
    assert sizes(jobs, "tr-plain") == [2, 1]
    assert jobs.sagemaker.list_tags(ResourceArn=job["TransformJobArn"])["Tags"] == tags


def test_a_prefix_that_is_one_object_and_no_split(jobs: Transforms) -> None:
    url = f"s3://{jobs.server.bucket}/tr-one/in/a.csv"
    jobs.transform("tr-one", {"a.csv": "1\n2", "a.txt": "x"}, S3Uri=url)
    assert jobs.outputs("tr-one") == {"a.csv.out": "1.0\n2.0"}
    assert sizes(jobs, "tr-one") == [2]


def test_single_records(jobs: Transforms) -> None:
    jobs.transform(
        "tr-single",
        {"a.csv": "1\r\n2\r\n3"},
        SplitType="Line",
        AssembleWith="Line",
        BatchStrategy="SingleRecord",
        MaxConcurrentTransforms=4,
        MaxPayloadInMB=1,
    )
    assert jobs.outputs("tr-single") == {"a.csv.out": "1.0\n2.0\n3.0\n"}
    assert sizes(jobs, "tr-single") == [1, 1, 1]
    container, data = jobs.streams("tr-single")
    assert "batch true 1 SINGLE_RECORD 4 None" in container
    assert data == ["MaxConcurrentTransforms=4, MaxPayloadInMB=1, BatchStrategy=SINGLE_RECORD"]


def test_many_records_a_request_up_to_the_payload_in_their_order(jobs: Transforms) -> None:
    numbers = [f"{number}.{'0' * 1000}" for number in range(3000)]  # 3 MB
    jobs.transform(
        "tr-multi",
        {"a.csv": "\n".join(numbers)},
        SplitType="Line",
        AssembleWith="Line",
        BatchStrategy="MultiRecord",
        MaxConcurrentTransforms=3,
        MaxPayloadInMB=1,
    )
    assert jobs.outputs("tr-multi")["a.csv.out"] == "".join(f"{number}.0\n" for number in range(3000))
    counts = sizes(jobs, "tr-multi")
    assert (len(counts), sum(counts)) == (3, 3000)


def test_a_manifest_of_compressed_objects(jobs: Transforms) -> None:
    jobs.put("tr-manifest/in/x/a.csv.gz", gzip.compress(b"1,1\n"))
    jobs.put("tr-manifest/in/y.csv.gz", gzip.compress(b"2,2\n"))
    jobs.put("tr-manifest/in/z.csv.gz", b"not named")
    head = {"prefix": f"s3://{jobs.server.bucket}/tr-manifest/in/"}
    manifest = jobs.put("tr-manifest/manifest", json.dumps([head, "x/a.csv.gz", "y.csv.gz"]))
    job = jobs.transform("tr-manifest", {}, S3DataType="ManifestFile", S3Uri=manifest, CompressionType="Gzip")
    assert job["TransformJobStatus"] == "Completed"
    assert jobs.outputs("tr-manifest") == {"x/a.csv.gz.out": "2.0", "y.csv.gz.out": "4.0"}


def test_filters_and_join_of_csv(jobs: Transforms) -> None:
    jobs.transform(
        "tr-join",
        {"a.csv": 'id-1,"a, b",1,2\nid-2,c,3,4\n'},
        SplitType="Line",
        AssembleWith="Line",
        DataProcessing={"InputFilter": "$[2:]", "JoinSource": "Input", "OutputFilter": "$[0,1,-1]"},
    )
    assert jobs.outputs("tr-join") == {"a.csv.out": 'id-1,"a, b",3.0\nid-2,c,7.0\n'}


def test_filters_and_join_of_json_lines(jobs: Transforms) -> None:
    lines = [{"id": 1, "x": [1, 2]}, {"id": 2, "x": [5]}]
    jobs.transform(
        "tr-json",
        {"a.jsonl": "\n".join(map(json.dumps, lines))},
        ContentType="application/jsonlines",
        Accept="application/jsonlines",
        SplitType="Line",
        AssembleWith="Line",
        DataProcessing={"InputFilter": "$.x", "JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"},
    )
    [content] = jobs.outputs("tr-json").values()
    assert [json.loads(line) for line in content.splitlines()] == [
        {"id": 1, "SageMakerOutput": {"y": 3}},
        {"id": 2, "SageMakerOutput": {"y": 5}},
    ]


def test_a_filter_beyond_the_record_fails_the_object(jobs: Transforms) -> None:
    job = jobs.transform("tr-beyond", {"a.csv": "1,2"}, DataProcessing={"OutputFilter": "$[1]"})
    assert (job["TransformJobStatus"], job["FailureReason"]) == ("Failed", CLIENT_ERROR)
    _, data = jobs.streams("tr-beyond")
    assert data[-1].endswith("/tr-beyond/in/a.csv: ClientError: the filter cannot be applied: 1 is not in the record")


@pytest.mark.aws_fact("transform-data-log")
@pytest.mark.parametrize(
    ("name", "content", "reason", "line"),
    [
        ("tr-500", "no number", ALGORITHM_ERROR, "Bad HTTP status received from algorithm: 500"),
        ("tr-400", "big", CLIENT_ERROR, "ClientError: 400"),
        ("tr-dies", "die", ALGORITHM_ERROR, "Unable to get response from algorithm"),
        ("tr-payload", "1" * 1_100_000, CLIENT_ERROR, "Too much data for max payload size"),
    ],
)
@pytest.mark.aws_fact("failure-transform")
@pytest.mark.aws_fact("transform-413")
def test_an_object_that_fails_has_no_output_and_the_others_have(
    jobs: Transforms, name: str, content: str, reason: str, line: str
) -> None:
    files: dict[str, str | bytes] = {"a.csv": "1,1\n", "b.csv": f"2\n{content}\n3\n"}
    if name != "tr-dies":  # a dead container comes back too late for the objects after this one
        files["c.csv"] = "4,4\n"
    options = {"SplitType": "Line", "BatchStrategy": "SingleRecord", "MaxPayloadInMB": 1}
    client = {"InvocationsMaxRetries": 1}
    job = jobs.transform(name, files, AssembleWith="Line", ModelClientConfig=client, **options)
    assert (job["TransformJobStatus"], job["FailureReason"]) == ("Failed", reason)
    outputs = {"a.csv.out": "2.0\n", "c.csv.out": "8.0\n"}
    assert jobs.outputs(name) == {key: value for key, value in outputs.items() if key[:-4] in files}
    _, data = jobs.streams(name)
    assert f"{jobs.server.bucket}/{name}/in/b.csv: {line}" in data
    if name == "tr-400":
        failed = data.index(f"{jobs.server.bucket}/{name}/in/b.csv: ClientError: 400")
        assert data[failed + 2] == f"{jobs.server.bucket}/{name}/in/b.csv: Message:", "a line of its own"
        assert any("this row is too big" in entry for entry in data[failed + 3 :])
    if name == "tr-500":
        container, _ = jobs.streams(name)
        assert sum("Exception on /invocations [POST]" in entry for entry in container) == 2, (
            "an error of the server is retried"
        )


def test_a_content_type_that_the_model_does_not_read(jobs: Transforms) -> None:
    job = jobs.transform("tr-type", {"a.bin": "x"}, ContentType="application/x-image")
    assert job["FailureReason"] == CLIENT_ERROR
    assert f"{jobs.server.bucket}/tr-type/in/a.bin: ClientError: 415" in jobs.streams("tr-type")[1]


def test_a_model_that_does_not_load(jobs: Transforms) -> None:
    jobs.model("transform-broken", {"broken": ""})
    job = jobs.transform("tr-broken", {"a.csv": "1"}, ModelName="transform-broken")
    assert (job["TransformJobStatus"], job["FailureReason"]) == ("Failed", ALGORITHM_ERROR)
    assert any("this model does not load" in line for line in jobs.streams("tr-broken")[0])


def test_model_data_that_is_gone(jobs: Transforms) -> None:
    jobs.model("transform-gone", {})
    jobs.s3.delete_object(Bucket=jobs.server.bucket, Key="transform-gone/model.tar.gz")
    job = jobs.transform("tr-gone", {"a.csv": "1"}, ModelName="transform-gone")
    assert job["FailureReason"].startswith("ClientError: Failed to download model data")


def test_what_a_manifest_names_may_be_missing(jobs: Transforms) -> None:
    manifest = jobs.put("tr-gap/manifest", json.dumps([{"prefix": f"s3://{jobs.server.bucket}/tr-gap/"}, "no.csv"]))
    job = jobs.transform("tr-gap", {}, S3DataType="ManifestFile", S3Uri=manifest)
    url = f"s3://{jobs.server.bucket}/tr-gap/no.csv"
    assert job["FailureReason"].startswith(f'ClientError: No S3 objects found under S3 URL "{url}" given in input')


@pytest.mark.aws_fact("transform-empty-input")
def test_requests_that_are_refused(jobs: Transforms) -> None:
    def code_and_text(**changes: Any) -> tuple[str, str]:
        return refused(jobs, jobs.request("tr-refused", {"a.csv": "1"}, **changes))

    code, text = code_and_text(ModelName="nobody")
    assert (code, text.split(" ")[:4]) == ("ValidationException", ["Could", "not", "find", "model"])
    bucket = jobs.server.bucket
    code, text = code_and_text(S3Uri=f"s3://{bucket}/nothing/here/")
    assert code == "ValidationException"
    assert text == (
        f'No S3 objects found under S3 URL "s3://{bucket}/nothing/here/" given in input data source. Please ensure '
        f"that the bucket exists in the selected region (us-east-1), that objects exist under that S3 prefix, and "
        f'that the role "{jobs.server.role_arn}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )
    for changes, part in (
        ({"MaxPayloadInMB": 101}, "must not exceed 100 MB"),
        ({"MaxPayloadInMB": 20, "MaxConcurrentTransforms": 6}, "must not exceed 100 MB"),
        ({"SplitType": "TFRecord"}, "SplitType TFRecord"),
        ({"DataProcessing": {"InputFilter": "$..x"}}, "$..x is not of the form"),
        ({"DataProcessing": {"JoinSource": "Input"}, "SplitType": "Line"}, "AssembleWith"),
        ({"DataProcessing": {"JoinSource": "Input"}, "ContentType": "image/png"}, "ContentType image/png"),
        ({"DataProcessing": {"JoinSource": "Input"}, "Accept": "application/json"}, "does not go with ContentType"),
        ({"DataCaptureConfig": {"DestinationS3Uri": "s3://x/y"}}, "DataCaptureConfig"),
    ):
        code, text = code_and_text(**changes)
        assert code == "ValidationException"
        assert part in text
    jobs.transform("tr-twice", {"a.csv": "1"})
    code, text = refused(jobs, jobs.request("tr-twice", {}))
    assert code == "ResourceInUse"
    assert text.startswith("Job name must be unique within an AWS account and region")
    with pytest.raises(ClientError, match="Could not find requested job with name: tr-nobody"):
        jobs.sagemaker.describe_transform_job(TransformJobName="tr-nobody")


@pytest.mark.aws_fact("stop-unknown-transform")
def test_a_job_that_is_not_there_cannot_be_stopped(jobs: Transforms) -> None:
    with pytest.raises(ClientError, match="Could not find job to update with name: tr-nowhere"):
        jobs.sagemaker.stop_transform_job(TransformJobName="tr-nowhere")


@pytest.mark.aws_fact("stop-ended-job")
def test_a_job_that_is_stopped_stores_nothing(jobs: Transforms) -> None:
    request = jobs.request("tr-stop", {"a.csv": "1", "b.csv": "wait"}, MaxConcurrentTransforms=2)
    jobs.sagemaker.create_transform_job(**request)
    eventually(lambda: len(sizes(jobs, "tr-stop")) == 2, "both requests")
    jobs.sagemaker.stop_transform_job(TransformJobName="tr-stop")
    job = jobs.end_of_transform("tr-stop")
    assert job["TransformJobStatus"] == "Stopped"
    assert "TransformEndTime" in job
    assert jobs.outputs("tr-stop") == {}
    with pytest.raises(ClientError, match="the transform job is in status Stopped"):
        jobs.sagemaker.stop_transform_job(TransformJobName="tr-stop")


@pytest.mark.aws_fact("list-newest-first")
def test_lists_waiters_events_and_pages(jobs: Transforms) -> None:
    sqs, events = jobs.server.client("sqs"), jobs.server.client("events")
    queue = sqs.create_queue(QueueName="tr-events")["QueueUrl"]
    pattern = {"detail-type": ["SageMaker Transform Job State Change"], "detail": {"TransformJobName": ["tr-seen-1"]}}
    events.put_rule(Name="tr-events", EventPattern=json.dumps(pattern))
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_targets(Rule="tr-events", Targets=[{"Id": "1", "Arn": arn}])
    for name, content in (("tr-seen-1", "1"), ("tr-seen-2", "big")):
        jobs.sagemaker.create_transform_job(**jobs.request(name, {"a.csv": content}))
    waiter = jobs.sagemaker.get_waiter("transform_job_completed_or_stopped")
    waiter.wait(TransformJobName="tr-seen-1", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    with pytest.raises(WaiterError):
        waiter.wait(TransformJobName="tr-seen-2", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    summaries = jobs.sagemaker.list_transform_jobs(NameContains="tr-seen")["TransformJobSummaries"]
    assert [item["TransformJobName"] for item in summaries] == ["tr-seen-2", "tr-seen-1"]
    assert summaries[0]["FailureReason"] == CLIENT_ERROR
    [failed] = jobs.sagemaker.list_transform_jobs(NameContains="tr-seen", StatusEquals="Failed")[
        "TransformJobSummaries"
    ]
    assert failed["TransformJobName"] == "tr-seen-2"
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    details = [json.loads(message["Body"])["detail"] for message in messages]
    assert {detail["TransformJobStatus"] for detail in details} == {"InProgress", "Completed"}
    assert all("_Container" not in detail for detail in details)
    with urllib.request.urlopen(f"{jobs.server.url}/_local/jobs/transform/tr-seen-2", timeout=30) as response:  # noqa: S310
        page = response.read().decode()
    assert CLIENT_ERROR in page
    assert "1 x ml.m5.large" in page
    assert "ClientError: 400" in page, "the data log"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_running_job_is_failed_by_the_next_server(make_sagemaker_local: Any, how: str) -> None:
    jobs = Transforms(make_sagemaker_local().start())
    jobs.sagemaker.create_transform_job(**jobs.request("tr-restart", {"a.csv": "wait"}))
    eventually(lambda: sizes(jobs, "tr-restart"), "the request")
    getattr(jobs.server, how)()
    jobs.server.start()
    job = jobs.sagemaker.describe_transform_job(TransformJobName="tr-restart")
    assert (job["TransformJobStatus"], job["FailureReason"]) == ("Failed", RESTARTED)
    assert list(jobs.server.state.glob("jobs/transform-job/*")) == []

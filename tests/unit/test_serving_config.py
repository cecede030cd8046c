"""What AWS excludes in serving is one sentence of lint, before a job has cost anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagemaker_retraining.config import ConfigError, load_model
from tests.kits.project import MODEL, ExampleProject

# what deploy says -> what the first message says
BAD = {
    "rollout: {strategy: linear, percent: 60}": "deploy.rollout.percent: linear takes 10 to 50, got 60",
    "rollout: {strategy: canary, percent: 51}": "deploy.rollout.percent: canary takes 1 to 50, got 51",
    "rollout: {percent: 10}": "deploy.rollout.percent: all_at_once has no steps",
    "rollout: {strategy: rolling, termination_wait_seconds: 60}": "_wait_seconds: rolling ends old instances",
    "rollout: {strategy: rolling}": "deploy.rollout.strategy: rolling replaces at most half of the instances",
    "rollout: {strategy: linear, percent: 10, wait_seconds: 300, max_seconds: 600}": "the waits alone take 3300 s; the "
    "roll-out has 600 s",
    "rollout: {strategy: linear, percent: 10, wait_seconds: 3600}": "the waits alone take 36300 s",
    "rollout: {max_seconds: 60}": "deploy.rollout.max_seconds: input should be greater",
    "alarms: [{metric: error_rate, above: 0.1}]": "deploy.alarms: are watched while a roll-out waits",
    "rollout: {strategy: canary, wait_seconds: 60}, alarms: [{metric: error_rate, above: 0.1, periods: 2}]": "goes off "
    "after 120 s, the roll-out waits 60 s",
    "alarms: [{metric: error_rate, above: 5}]": "above: error_rate is a share below 1, such as 0.05; got 5",
    "alarms: [{metric: error_rate}]": "give metric and above, or name",
    "alarms: [{name: x, above: 1}]": "an alarm that exists has its own above",
    "alarms: [{metric: latency_p99_ms, above: 5, period_seconds: 45}]": "must be 10, 30 or a multiple of 60; got 45",
    "serverless: {memory_mb: 1500}": "deploy.serverless.memory_mb: must be 1024, 2048, 3072",
    "serverless: {provisioned_concurrency: 30}": "provisioned_concurrency: 30 is more than max_concurrency 20",
    "serverless: {}, data_capture: {enabled: true}": "deploy.data_capture: a serverless endpoint captures nothing",
    "serverless: {}, autoscaling: {max_instances: 2, invocations_per_instance: 1}": "deploy.autoscaling: a serverless",
    "serverless: {}, rollout: {strategy: canary}": "deploy.rollout: a serverless endpoint cannot have rollout",
    "serverless: {}, asynchronous: {}": "deploy.asynchronous: a serverless endpoint cannot have asynchronous",
    "asynchronous: {}, data_capture: {}": "deploy.data_capture: an asynchronous endpoint captures nothing",
    "asynchronous: {}, challenger: {as: shadow}": "deploy.challenger: an asynchronous endpoint cannot have challenger",
    "asynchronous: {error_topic_arn: topic}": "error_topic_arn: 'topic' is not the ARN of an SNS topic",
    "challenger: {as: variant}, rollout: {strategy: canary}": "deploy.rollout: an endpoint with a challenger cannot",
    "challenger: {as: twin}": "deploy.challenger.as: ",
    "challenger: {as: variant, report_after_hours: 1}": "deploy.challenger.report_after_hours: only a shadow gets",
    "challenger: {as: variant, percent: 100}": "percent: a variant takes 1 to 99, the main one",
    "challenger: {as: shadow}, data_capture: {enabled: false}": "deploy.challenger: report_after_hours: the comparison",
    "challenger: {as: shadow}, data_capture: {sampling_percentage: 0}": "deploy.challenger: report_after_hours: the co",
    "autoscaling: {min_instances: 3, max_instances: 2, invocations_per_instance: 1}": "min_instances: 3 is more than",
    "autoscaling: {min_instances: 2, max_instances: 3, invocations_per_instance: 1}": "_count: 1 is not between",
    "kind: batch, rollout: {strategy: canary}": "deploy.rollout: batch cannot have rollout; remove it, or kind",
    "batch: {}": "deploy.batch: needs `kind: batch`",
    "kind: batch, batch: {input_uri: s3://b/x}": "deploy.batch.input_uri: 's3://b/x' is not an S3 prefix",
    "keep: 0": "deploy.keep: input should be greater than or equal to 1, got 0",
}


@pytest.mark.parametrize("deploy", BAD)
@pytest.mark.aws_fact("config-capture-async")
def test_one_clear_sentence(tmp_path: Path, deploy: str) -> None:
    project = ExampleProject(tmp_path)
    project.write_model(f"{MODEL}deploy: {{{deploy}}}\n")
    with pytest.raises(ConfigError) as error:
        load_model("demo_model", project.root, "test")
    assert BAD[deploy] in error.value.problems[0]
    assert error.value.problems[0].startswith("include/models/demo_model/model.yaml:5: ")


def test_a_serverless_endpoint_has_no_network(tmp_path: Path) -> None:
    project = ExampleProject(tmp_path)
    overrides = (project.root / "environments" / "prod.yaml").read_text().split("    deploy:\n")
    assert len(overrides) == 2
    rest = overrides[1].split("    data:")[1]
    project.write_environment(f"{overrides[0]}    deploy: {{serverless: {{}}}}\n    data:{rest}", "prod")
    with pytest.raises(ConfigError, match="serverless endpoint cannot be in a VPC, and environment prod has vpc"):
        load_model("demo_model", project.root, "prod")


def test_what_follows_from_little(tmp_path: Path) -> None:
    project = ExampleProject(tmp_path)
    project.write_model(f"{MODEL}deploy: {{rollout: {{strategy: linear}}, challenger: null}}\n")
    rollout = load_model("demo_model", project.root, "test").deploy.rollout
    assert rollout is not None
    assert (rollout.step_percent, rollout.wait_total_seconds) == (25, 4 * 300 + 300)
    assert rollout.timeout_seconds == rollout.wait_total_seconds + 3600

"""Many tasks that wait, deferred, for a job each; the jobs end when something listens on the port they are given."""

from datetime import datetime

from airflow.sdk import DAG, Param

from sagemaker_retraining.config import load_environment, load_model
from sagemaker_retraining.operators.jobs import ResumableProcessingOperator

WAITS = 20
SCRIPT = "until (exec 3<>/dev/tcp/127.0.0.1/$0) 2>/dev/null; do sleep 1; done"

environment = load_environment()

with DAG("chaos_waits", schedule=None, start_date=datetime(2024, 1, 1), params={"port": Param(0, type="integer")}):
    for number in range(WAITS):
        ResumableProcessingOperator(
            task_id=f"wait_{number:02}",
            config={
                "ProcessingJobName": f"{{{{ run_id | replace('_', '-') }}}}-{number:02}",
                "AppSpecification": {
                    "ImageUri": load_model("chaos").image.uri,
                    "ContainerEntrypoint": ["/bin/bash", "-c", SCRIPT],
                    "ContainerArguments": ["{{ params.port }}"],
                },
                "ProcessingResources": {
                    "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
                },
                "StoppingCondition": {"MaxRuntimeInSeconds": 600},
                "RoleArn": environment.role_arn,
            },
            poll_seconds=1,
            deferrable=True,
            retries=0,
            aws_conn_id=environment.aws_conn_id,
            region_name=environment.region,
        )

"""A DAG that does nothing but wait for an approval, for the benchmark of many Airflow runs waiting at once."""

from airflow.sdk import DAG

from sagemaker_retraining.sensors.approval import ModelApprovalSensor

with DAG("waiting", schedule=None, max_active_runs=1000, params={"model_package_arn": ""}) as dag:
    ModelApprovalSensor(
        task_id="approval",
        model_package_arn="{{ params.model_package_arn }}",
        poll_seconds=30,
        timeout_seconds=86_400,
        region_name="us-east-1",
    )

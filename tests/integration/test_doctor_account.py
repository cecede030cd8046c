"""doctor on images, quotas, networks, what belongs to others, and what it may not look at."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_retraining.doctor.bucket import bucket_checks
from sagemaker_retraining.doctor.data import data_checks
from sagemaker_retraining.doctor.findings import Finding, Status
from sagemaker_retraining.doctor.images import image_checks
from sagemaker_retraining.doctor.keys import key_checks
from sagemaker_retraining.doctor.network import network_checks
from sagemaker_retraining.doctor.ownership import ownership_checks
from sagemaker_retraining.doctor.permissions import permission_checks
from sagemaker_retraining.doctor.quotas import quota_checks
from sagemaker_retraining.doctor.roles import role_checks
from tests.conftest import LocalSageMaker
from tests.kits.doctor_kit import (
    ACCOUNT,
    IMAGE,
    REGION,
    World,
    assert_fine,
    assert_wrong,
    denied,
    proxy,
    set_quotas,
)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (IMAGE.replace("3.0-5", "3.0-6"), "is not there (ImageNotFound)"),
        (IMAGE.replace("sagemaker-xgboost", "own"), "there is no such repository"),
        (IMAGE.replace("us-east-1", "eu-west-1"), "is in eu-west-1, jobs run in us-east-1"),
    ],
)
def test_the_image(world: World, image: str, said: str) -> None:
    assert_fine(world.look(image_checks))
    world.environment(model=json.dumps({"image": {"uri": image}}))
    assert_wrong(world.look(image_checks), "image of demo_model", said)


@pytest.fixture
def quotas(sagemaker_local: LocalSageMaker) -> Iterator[Callable[..., None]]:
    """Sets quotas, and puts them back."""

    def change(**values: int) -> None:
        named = {f"ml.m5.{size} for {usage} usage": value for (size, usage), value in values["of"].items()}
        set_quotas(sagemaker_local, named)

    yield change
    set_quotas(sagemaker_local, {})


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (
            {("2xlarge", "spot training job"): 0},
            "ml.m5.2xlarge for spot training job usage is 0, needed 1; aws service-quotas request-service-quota-",
        ),
        ({("2xlarge", "training job"): 0}, "ml.m5.2xlarge for training job usage is 0, needed 1"),
        ({("xlarge", "processing job"): 0}, "ml.m5.xlarge for processing job usage is 0, needed 1"),
        (
            {("large", "endpoint"): 1},
            "is 1, needed 2 (1 for demo_model, 1 while an update runs old and new side by side)",
        ),
    ],
    ids=["spot", "on demand", "processing", "endpoint"],
)
def test_quotas(world: World, quotas: Callable[..., None], of: dict[tuple[str, str], int], said: str) -> None:
    assert_fine(world.look(quota_checks))
    quotas(of=of)
    assert_wrong(world.look(quota_checks), "quotas", said)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            '{"quotas": {"ml.m5.xlarge for fun": 1}}',
            "'ml.m5.xlarge for fun' is none; they are like 'ml.m5.large for",
        ),
        ('{"quotas": {"ml.m5.xlarge for endpoint usage": -1}}', "is -1; it must be a whole number of instances"),
        ('{"quotas": []}', 'it must be like {"quotas": {"ml.m5.large for training job usage": 0}}'),
    ],
)
def test_quotas_that_are_none(sagemaker_local: LocalSageMaker, body: str, said: str) -> None:
    request = urllib.request.Request(f"{sagemaker_local.url}/_local/quotas", body.encode(), method="PUT")  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)  # noqa: S310
    assert (refused.value.code, said in json.load(refused.value)["error"]) == (400, True)


@pytest.mark.aws_fact("account-quota-names")
@pytest.mark.aws_fact("training-spot-quota-apart")
def test_quotas_in_pages(sagemaker_local: LocalSageMaker) -> None:
    """As Service Quotas lists them: 100 at most, each name once."""
    pages = sagemaker_local.client("service-quotas").get_paginator("list_service_quotas")
    found = [page["Quotas"] for page in pages.paginate(ServiceCode="sagemaker")]
    assert {len(page) for page in found[:-1]} == {100}
    names = [quota["QuotaName"] for page in found for quota in page]
    assert len(set(names)) == len(names)
    assert {"ml.m5.xlarge for spot training job usage", "ml.m5.large for endpoint usage"} <= set(names)


@pytest.fixture
def vpc(world: World) -> dict[str, str]:
    """A VPC with a subnet, a security group, and a gateway endpoint for S3. moto takes seconds for its first."""
    ec2 = world.client("ec2")
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName=world.id, Description="jobs", VpcId=network)["GroupId"]
    filters = [{"Name": "vpc-id", "Values": [network]}]
    [table] = ec2.describe_route_tables(Filters=filters)["RouteTables"]
    service = f"com.amazonaws.{REGION}.s3"
    endpoint = ec2.create_vpc_endpoint(
        VpcId=network, ServiceName=service, VpcEndpointType="Gateway", RouteTableIds=[table["RouteTableId"]]
    )
    found = {"vpc": network, "subnet": subnet, "group": group, "table": table["RouteTableId"]}
    return {**found, "endpoint": endpoint["VpcEndpoint"]["VpcEndpointId"]}


@pytest.mark.slow
def test_networks_are_kept(make_sagemaker_local: Callable[..., LocalSageMaker]) -> None:
    """Of EC2 there are networks, which outlast a restart, and nothing else."""
    server = make_sagemaker_local().start()
    network = server.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    server.restart()
    ec2 = server.client("ec2")
    assert ec2.describe_vpcs(VpcIds=[network])["Vpcs"][0]["CidrBlock"] == "10.0.0.0/16"
    with pytest.raises(ClientError, match=r"DescribeInstances.*about more than networks"):
        ec2.describe_instances()


def in_vpc(world: World, subnets: list[str], groups: list[str]) -> list[Finding]:
    world.environment(f"vpc: {{subnets: {json.dumps(subnets)}, security_group_ids: {json.dumps(groups)}}}\n")
    return world.look(network_checks)


@pytest.mark.slow
def test_the_network(world: World, vpc: dict[str, str]) -> None:
    ec2, subnet, group = world.client("ec2"), vpc["subnet"], vpc["group"]
    assert_fine(in_vpc(world, [subnet], [group]))
    nobody = "subnet-0123456789abcdef0"
    assert_wrong(in_vpc(world, [subnet, nobody], [group]), "vpc subnets", f"{nobody}: no such subnet in us-east-1")
    nobody = "sg-0123456789abcdef0"
    assert_wrong(in_vpc(world, [subnet], [nobody]), "vpc security groups", f"{nobody}: no such security group")
    other = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    foreign = ec2.create_security_group(GroupName=world.id, Description="x", VpcId=other)["GroupId"]
    assert_wrong(in_vpc(world, [subnet], [foreign]), "vpc security groups", f"{foreign}: of another VPC")
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    assert_wrong(in_vpc(world, [subnet], [group]), "vpc security groups", "none lets HTTPS out")


@pytest.mark.slow
def test_the_way_to_s3(world: World, vpc: dict[str, str]) -> None:
    ec2, subnet, group = world.client("ec2"), vpc["subnet"], vpc["group"]
    ec2.delete_vpc_endpoints(VpcEndpointIds=[vpc["endpoint"]])
    assert_wrong(in_vpc(world, [subnet], [group]), "vpc routes", f"from {subnet} nothing leads to S3")
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    gateway = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
    ec2.create_route(RouteTableId=vpc["table"], DestinationCidrBlock="0.0.0.0/0", NatGatewayId=gateway)
    assert_fine(in_vpc(world, [subnet], [group]))


def tags(**values: str) -> list[dict[str, str]]:
    ours = {"project": "sagemaker-retraining", "model": "demo_model", "env": "prod"}
    return [{"Key": key, "Value": value} for key, value in (ours | values).items()]


def test_whose_the_group_is(world: World) -> None:
    world.environment(model=json.dumps({"register": {"group": world.id}}))
    assert_fine(world.look(ownership_checks))
    sagemaker = world.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName=world.id, Tags=tags(model="churn"))
    assert_wrong(world.look(ownership_checks), "group of demo_model", "is another's: its tag model is 'churn'")


def test_whose_the_endpoint_is(world: World) -> None:
    """Its tags are what counts, and these are of an endpoint that never came up."""
    world.environment(model=json.dumps({"deploy": {"endpoint": world.id}}))
    sagemaker, variant = world.client("sagemaker"), {"VariantName": "a", "ModelName": world.id}
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    world.client("s3").put_object(Bucket=world.bucket, Key="model.tar.gz", Body=b"no archive")
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{world.bucket}/model.tar.gz"}
    sagemaker.create_model(ModelName=world.id, PrimaryContainer=container, ExecutionRoleArn=world.job_role)
    sagemaker.create_endpoint_config(
        EndpointConfigName=world.id, ProductionVariants=[{**variant, "ServerlessConfig": serverless}]
    )
    made = sagemaker.create_endpoint(EndpointName=world.id, EndpointConfigName=world.id, Tags=tags(env="dev"))
    said = f"{world.id} is another's: its tags say env=dev, not prod. Choose another deploy.endpoint"
    assert_wrong(world.look(ownership_checks), "endpoint of demo_model", said)
    sagemaker.add_tags(ResourceArn=made["EndpointArn"], Tags=tags())
    assert_fine(world.look(ownership_checks))


@pytest.mark.parametrize(
    ("rule_", "action", "checks", "subject"),
    [
        ("iam:GetRole", "iam:GetRole", role_checks, "role of jobs, models and endpoints"),
        (
            "iam:SimulatePrincipalPolicy",
            "iam:SimulatePrincipalPolicy",
            permission_checks,
            "permissions of the DAG's role",
        ),
        ("s3:versioning", "s3:GetBucketVersioning", bucket_checks, "bucket versioning"),
        ("s3", "s3:ListBucket", data_checks, "raw data of demo_model"),
        ("kms:DescribeKey", "kms:DescribeKey", key_checks, "kms_key_arn"),
        ("ecr", "ecr:BatchGetImage", image_checks, "image of demo_model"),
        ("servicequotas", "servicequotas:ListServiceQuotas", quota_checks, "quotas"),
        ("ec2", "ec2:DescribeSubnets", network_checks, "vpc subnets"),
        ("sagemaker", "sagemaker:ListTags", ownership_checks, "group of demo_model"),
    ],
    ids=lambda value: value if isinstance(value, str) and ":" in value else "",
)
def test_what_may_not_be_looked_at(world: World, rule_: str, action: str, checks: Any, subject: str) -> None:
    """Neither ok nor wrong, and the permission is named."""
    key = f"kms_key_arn: arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555\n"
    network = "vpc: {subnets: [subnet-0123456789abcdef0], security_group_ids: [sg-0123456789abcdef0]}\n"
    world.environment((key if checks is key_checks else "") + (network if checks is network_checks else ""))
    with proxy(world.server.url, **{rule_: denied(action)}) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        found = {finding.subject: finding for finding in world.look(checks)}
    assert found[subject].status == Status.UNKNOWN
    assert found[subject].text == f"not allowed to call {action}"
    assert [finding for finding in found.values() if finding.status == Status.WRONG] == []

"""doctor against a real (local) account: one fault at a time, and the line that names it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
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
from tests.kits.doctor_kit import ACCOUNT, IMAGE, NEWEST, REGION, World, denied, proxy, set_quotas

Fault = Callable[[World], Any]


@pytest.fixture
def world(sagemaker_local: LocalSageMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An account in order."""
    for name, value in sagemaker_local.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return World(sagemaker_local, tmp_path)


def assert_wrong(found: list[Finding], subject: str, *said: str) -> None:
    """This subject is wrong for this reason; nothing else is."""
    lines = {finding.subject: finding.text for finding in found if finding.status == Status.WRONG}
    assert list(lines) == [subject], found
    assert [text for text in said if text not in lines[subject]] == [], lines[subject]


def assert_fine(found: list[Finding]) -> None:
    assert [finding for finding in found if finding.status != Status.OK] == []
    assert found


def delete_role(world: World) -> None:
    world.client("iam").delete_role_policy(RoleName=f"{world.id}-jobs", PolicyName="retraining")
    world.client("iam").delete_role(RoleName=f"{world.id}-jobs")


def trust(service: str, **condition: str) -> Fault:
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {key.replace("_", ":"): value for key, value in condition.items()}},
            }
        ],
    }
    return lambda world: world.client("iam").update_assume_role_policy(
        RoleName=f"{world.id}-jobs", PolicyDocument=json.dumps(document)
    )


def move_role(world: World) -> None:
    delete_role(world)
    world.client("iam").create_role(RoleName=f"{world.id}-jobs", Path="/team/", AssumeRolePolicyDocument="{}")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (delete_role, "-jobs does not exist; create it with include/iam/execution-role.trust.json"),
        (move_role, ":role/team/"),
        (trust("ec2.amazonaws.com"), "does not trust sagemaker.amazonaws.com"),
        (trust("sagemaker.amazonaws.com", aws_SourceAccount="999999999999"), "only where aws:SourceAccount is 9999"),
    ],
    ids=["missing", "path", "trusts another", "trusts another account"],
)
def test_the_execution_role(world: World, fault: Fault, said: str) -> None:
    assert_fine(world.look(role_checks))
    fault(world)
    assert_wrong(world.look(role_checks), "role of jobs, models and endpoints", said)


def statement(effect: str, action: str, **more: Any) -> dict[str, Any]:
    found = {"Effect": effect, "Action": action, "Resource": "*", **more}
    return {"Version": "2012-10-17", "Statement": [found]}


def without(action: str) -> Fault:
    """A DAG's role that was made before an action was needed."""

    def fault(world: World) -> None:
        iam, role = world.client("iam"), f"{world.id}-airflow"
        document = iam.get_role_policy(RoleName=role, PolicyName="retraining")["PolicyDocument"]
        for one in document["Statement"]:
            actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
            one["Action"] = [name for name in actions if name != action] or ["sagemaker:ListApps"]
        world.put_policy("airflow", document)

    return fault


def deny(world: World) -> None:
    world.put_policy("airflow", statement("Deny", "sagemaker:CreateTrainingJob"), "no-jobs")


def limit(world: World) -> None:
    document = json.dumps(statement("Allow", "s3:*"))
    arn = world.client("iam").create_policy(PolicyName=f"{world.id}-limit", PolicyDocument=document)["Policy"]["Arn"]
    world.client("iam").put_role_permissions_boundary(RoleName=f"{world.id}-airflow", PermissionsBoundary=arn)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            without("iam:PassRole"),
            [
                "no policy allows iam:PassRole on arn:aws:iam::123456789012:role/",
                "`python -m sagemaker_retraining iam dag-role --env prod`",
            ],
        ),
        (without("sagemaker:AddTags"), ["no policy allows sagemaker:AddTags on arn:aws:sagemaker:us-east-1:"]),
        (without("s3:PutObject"), ["no policy allows s3:PutObject on arn:aws:s3:::", "/demo_model/doctor"]),
        (deny, ["_no-jobs denies sagemaker:CreateTrainingJob on arn:aws:sagemaker:us-east-1:"]),
        (limit, ["its permissions boundary arn:aws:iam::123456789012:policy/", "-limit forbids ", " more"]),
    ],
    ids=["pass role", "tags", "bucket", "denied", "boundary"],
)
def test_permissions_of_the_dag(world: World, fault: Fault, said: list[str]) -> None:
    fault(world)
    assert_wrong(world.look(permission_checks), "permissions of the DAG's role", *said)


def test_permissions_are_enough(world: World) -> None:
    """The policies of include/iam are what is asked, for a role with a path and permissions for keys as well."""
    assert_fine(world.look(permission_checks))
    key = world.client("kms").create_key()["KeyMetadata"]["Arn"]
    world.environment(f"kms_key_arn: {key}\n")
    [finding] = [one for one in world.look(permission_checks) if one.status == Status.WRONG and "DAG" in one.subject]
    assert "no policy allows kms:Decrypt, kms:GenerateDataKey, kms:DescribeKey" in finding.text
    world.grant()
    assert_fine(world.look(permission_checks))


def test_permissions_of_the_jobs(world: World) -> None:
    world.put_policy("jobs", statement("Allow", "s3:*"))
    subject = "permissions of the role of jobs, models and endpoints"
    assert_wrong(
        world.look(permission_checks),
        subject,
        "logs:PutLogEvents on arn:aws:logs:",
        "`python -m sagemaker_retraining iam job-role --env prod`",
        " more",
    )


def test_a_hosting_role_of_its_own(world: World) -> None:
    """It has a policy of its own, and the DAG must be able to pass it."""
    world.environment(f"hosting_role_arn: {world.dag_role}-serving\n")
    [role] = [one for one in world.look(role_checks) if one.status == Status.WRONG]
    assert (role.subject, "-serving does not exist" in role.text) == ("role of models and endpoints", True)
    world.client("iam").create_role(RoleName=f"{world.id}-airflow-serving", AssumeRolePolicyDocument="{}")
    found = {one.subject: one.text for one in world.look(permission_checks) if one.status == Status.WRONG}
    assert f"no policy allows iam:PassRole on {world.dag_role}-serving" in found["permissions of the DAG's role"]
    said = "`python -m sagemaker_retraining iam hosting-role --env prod`"
    assert said in found["permissions of the role of models and endpoints"]


def test_the_approver_may_decide(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its connection tells the role."""
    extra = {"role_arn": world.job_role}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_APPROVER", json.dumps({"conn_type": "aws", "extra": extra}))
    said = "no policy allows sagemaker:UpdateModelPackage, sagemaker:DescribeModelPackage on arn:aws:sagemaker:"
    assert_wrong(world.look(permission_checks), "permissions of the approver", said)
    world.put_policy("jobs", world.scope().policies["approver"], "approver")
    assert_fine(world.look(permission_checks))


def test_the_dag_may_not_approve(world: World) -> None:
    """A Deny wins, so that only a role without ours may."""
    world.put_policy("airflow", statement("Allow", "sagemaker:*"), "wide")
    assert_fine(world.look(permission_checks))
    world.put_policy("airflow", statement("Allow", "*"))
    said = "-airflow may approve versions (sagemaker:CreateModelPackage, sagemaker:UpdateModelPackage), and approver_co"
    assert_wrong(world.look(permission_checks), "who may approve", said)
    text = world.text.replace("approver_conn_id: aws_approver\n", "")
    world.project.write_environment(text, "prod")
    assert_fine(world.look(permission_checks))


def test_whose_permissions(world: World) -> None:
    """Without --dag-role the caller's are asked; of a caller that IAM cannot simulate, nobody's."""
    found = world.look(permission_checks, world.scope(dag_role=None))
    assert found[0].subject == "permissions of these credentials"
    assert f"{world.dag_role} may do all" in found[0].text
    role = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    assert "nobody does not exist" in world.look(permission_checks, world.scope(role))[0].text


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

"""doctor on roles and their permissions: one fault at a time, and the line that names it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sagemaker_retraining.doctor.findings import Status
from sagemaker_retraining.doctor.permissions import permission_checks
from sagemaker_retraining.doctor.roles import role_checks
from tests.kits.doctor_kit import (
    ACCOUNT,
    Fault,
    World,
    assert_fine,
    assert_wrong,
)


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

"""The members that the checks read of AWS's answers: IAM, KMS, S3 and EC2. All of them hold more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from sagemaker_retraining.requests.policies import Policy

Conditions = Mapping[str, Mapping[str, str | list[str]]]
"""By operator, then by condition key: the value or values."""


class IamPrincipal(TypedDict):
    """A role or a user; a user's trust policy and boundary are not asked for."""

    Arn: str
    AssumeRolePolicyDocument: NotRequired[Policy]
    PermissionsBoundary: NotRequired[Mapping[str, str]]


class SimulationResult(TypedDict):
    """IAM's EvaluationResult: the answer to one question."""

    EvalActionName: str
    EvalDecision: str
    MatchedStatements: NotRequired[list[Mapping[str, str]]]
    OrganizationsDecisionDetail: NotRequired[Mapping[str, bool]]
    PermissionsBoundaryDecisionDetail: NotRequired[Mapping[str, bool]]


class KeyMetadata(TypedDict):
    """A KMS key."""

    KeyId: str
    KeyState: str
    KeyUsage: NotRequired[str]
    KeySpec: NotRequired[str]


class LifecycleRule(TypedDict, total=False):
    """A lifecycle rule of a bucket; `Filter` and `Expiration` are of several forms, of which parts are read."""

    ID: str
    Status: str
    Prefix: str
    Filter: Mapping[str, Any]
    Expiration: Mapping[str, int | str]
    Transitions: list[Mapping[str, str]]


class Subnet(TypedDict):
    """A subnet of EC2."""

    SubnetId: str
    VpcId: str
    AvailabilityZone: str


class EgressRule(TypedDict):
    """What a security group lets out; a rule for everything has protocol `-1` and no ports."""

    IpProtocol: str
    FromPort: NotRequired[int]
    ToPort: NotRequired[int]


class SecurityGroup(TypedDict):
    """A security group of EC2."""

    GroupId: str
    VpcId: str
    IpPermissionsEgress: list[EgressRule]


class RouteTable(TypedDict):
    """A route table of EC2; a route's members say by their names where it leads."""

    RouteTableId: str
    Associations: list[Mapping[str, str | bool]]
    Routes: list[Mapping[str, str]]


class VpcEndpoint(TypedDict):
    """A VPC endpoint; one with route tables is a gateway endpoint."""

    ServiceName: str
    State: str
    RouteTableIds: NotRequired[list[str]]


def as_list(value: Any) -> list[Any]:
    """IAM takes one value in place of a list of one."""
    return value if isinstance(value, list) else [value]

"""The VPC of jobs and endpoints: subnets and security groups of one VPC, and a way to S3.

SageMaker pulls images and writes logs over its own network; data, models and code go through the VPC, so S3 must be
reached from it. https://docs.aws.amazon.com/sagemaker/latest/dg/train-vpc.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from botocore.exceptions import ClientError

from sagemaker_retraining.config.environment import Vpc
from sagemaker_retraining.doctor.answers import EgressRule, RouteTable, SecurityGroup, Subnet, VpcEndpoint
from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.errors import code_of
from sagemaker_retraining.doctor.findings import Check, Finding, ok, wrong
from sagemaker_retraining.doctor.scope import Scope

SERVICES = ("sagemaker.api", "sagemaker.runtime", "logs", "ecr.api", "ecr.dkr", "sts", "kms")
"""Services that a model's scripts may call; SageMaker itself needs none of them in the VPC."""
_WAYS_OUT = ("NatGatewayId", "TransitGatewayId", "NetworkInterfaceId", "VpcPeeringConnectionId", "InstanceId")
_HTTPS = 443
T = TypeVar("T")


def network_checks(aws: Aws, scope: Scope) -> Iterator[Check]:
    """The checks of the VPC; none when the environment has no VPC."""
    if vpc := scope.environment.vpc:
        yield Check("vpc subnets", partial(_subnets, aws, vpc))
        yield Check("vpc security groups", partial(_groups, aws, vpc))
        yield Check("vpc routes", partial(_routes, aws, scope, vpc))


def _subnets(aws: Aws, vpc: Vpc) -> Iterator[Finding]:
    subject = "vpc subnets"
    found, missing = _found_subnets(aws, vpc.subnets)
    if missing:
        yield wrong(subject, f"{', '.join(missing)}: no such subnet in {aws.region}; correct `vpc.subnets`")
        return
    networks = sorted({subnet["VpcId"] for subnet in found})
    if len(networks) > 1:
        yield wrong(subject, f"are of {len(networks)} VPCs ({', '.join(networks)}); all must be of one")
    else:
        zones = sorted({subnet["AvailabilityZone"] for subnet in found})
        yield ok(subject, f"{len(found)} of {networks[0]}, in {', '.join(zones)}")


def _groups(aws: Aws, vpc: Vpc) -> Iterator[Finding]:
    subject = "vpc security groups"
    found, missing = _found_groups(aws, vpc.security_group_ids)
    if missing:
        text = f"{', '.join(missing)}: no such security group in {aws.region}; correct `vpc.security_group_ids`"
        yield wrong(subject, text)
        return
    networks = {subnet["VpcId"] for subnet in _found_subnets(aws, vpc.subnets)[0]}
    others = [group["GroupId"] for group in found if networks and group["VpcId"] not in networks]
    if others:
        yield wrong(subject, f"{', '.join(others)}: of another VPC than the subnets ({', '.join(sorted(networks))})")
    elif not any(_lets_out(rule) for group in found for rule in group["IpPermissionsEgress"]):
        yield wrong(subject, f"none lets HTTPS out (egress to port {_HTTPS}), so that nothing reaches S3")
    else:
        yield ok(subject, f"{len(found)} of the same VPC, HTTPS goes out")


def _lets_out(rule: EgressRule) -> bool:
    """Whether an egress rule allows HTTPS."""
    if rule["IpProtocol"] == "-1":
        return True
    return bool(rule["IpProtocol"] in {"tcp", "6"} and rule["FromPort"] <= _HTTPS <= rule["ToPort"])


def _routes(aws: Aws, scope: Scope, vpc: Vpc) -> Iterator[Finding]:
    ec2, subnets = aws.client("ec2"), _found_subnets(aws, vpc.subnets)[0]
    if not subnets:
        return  # the check of the subnets reports it
    of_vpc = [{"Name": "vpc-id", "Values": sorted({subnet["VpcId"] for subnet in subnets})}]
    pages = ec2.get_paginator("describe_route_tables").paginate(Filters=of_vpc)
    tables: list[RouteTable] = [table for page in pages for table in page["RouteTables"]]
    pages = ec2.get_paginator("describe_vpc_endpoints").paginate(Filters=of_vpc)
    endpoints: list[VpcEndpoint] = [endpoint for page in pages for endpoint in page["VpcEndpoints"]]
    yield judge_routes([subnet["SubnetId"] for subnet in subnets], tables, endpoints)


def judge_routes(subnets: Sequence[str], tables: Sequence[RouteTable], endpoints: Sequence[VpcEndpoint]) -> Finding:
    """Whether S3 is reached from each subnet: by an endpoint of the VPC, or by a way out of it.

    An internet gateway is none: SageMaker's network interfaces have no public address.
    """
    subject = "vpc routes"
    available = [endpoint for endpoint in endpoints if str(endpoint["State"]).lower() == "available"]
    ways = {subnet: _table_of(subnet, tables) for subnet in subnets}
    out = {subnet for subnet, table in ways.items() if table and any(_leads_out(route) for route in table["Routes"])}
    without = [subnet for subnet in subnets if subnet not in out and not _reaches_s3(ways[subnet], available)]
    if without:
        return wrong(
            subject,
            f"from {', '.join(without)} nothing leads to S3, so that no job gets its data: make a gateway endpoint "
            f"for S3 with the subnet's route table, or a route to a NAT gateway",
        )
    if len(out) == len(subnets):
        return ok(subject, "S3 and all else are reached through a route out of the VPC")
    there = {_service(endpoint) for endpoint in available}
    missing = [name for name in SERVICES if name not in there]
    hint = f"; scripts of yours that call AWS would want endpoints for {', '.join(missing)} too" if missing else ""
    return ok(subject, f"S3 is reached{hint}")


def _table_of(subnet: str, tables: Sequence[RouteTable]) -> RouteTable | None:
    """The route table of a subnet: its own, else the VPC's main one."""
    for table in tables:
        if any(link.get("SubnetId") == subnet for link in table["Associations"]):
            return table
    return next((table for table in tables if any(link.get("Main") for link in table["Associations"])), None)


def _leads_out(route: Mapping[str, str]) -> bool:
    everywhere = route.get("DestinationCidrBlock") == "0.0.0.0/0"
    alive = route.get("State", "active") == "active"
    return everywhere and alive and any(route.get(way) for way in _WAYS_OUT)


def _reaches_s3(table: RouteTable | None, endpoints: Sequence[VpcEndpoint]) -> bool:
    """Whether there is a gateway endpoint in the subnet's route table, or an interface endpoint anywhere in the VPC."""
    for endpoint in endpoints:
        if _service(endpoint) == "s3":
            tables = endpoint.get("RouteTableIds", [])
            if not tables or (table and table["RouteTableId"] in tables):
                return True
    return False


def _service(endpoint: VpcEndpoint) -> str:
    """`com.amazonaws.eu-west-1.sagemaker.api` → `sagemaker.api`; of China it begins with `cn.`."""
    return str(endpoint["ServiceName"]).partition("com.amazonaws.")[2].partition(".")[2]


def _found_subnets(aws: Aws, ids: Sequence[str]) -> tuple[list[Subnet], list[str]]:
    """The subnets, and the ids of which there is none."""
    ec2 = aws.client("ec2")
    return _found(ids, lambda one: ec2.describe_subnets(SubnetIds=[one])["Subnets"])


def _found_groups(aws: Aws, ids: Sequence[str]) -> tuple[list[SecurityGroup], list[str]]:
    """The security groups, and the ids of which there is none."""
    ec2 = aws.client("ec2")
    return _found(ids, lambda one: ec2.describe_security_groups(GroupIds=[one])["SecurityGroups"])


def _found(ids: Sequence[str], describe: Callable[[str], list[T]]) -> tuple[list[T], list[str]]:
    """Asked one by one, because AWS names only the first of several that are missing."""
    found: list[T] = []
    missing = []
    for one in ids:
        try:
            found += describe(one)
        except ClientError as error:
            if not code_of(error).endswith((".NotFound", ".Malformed")):
                raise
            missing.append(one)
    return found, missing

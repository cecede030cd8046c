"""Short names of boto3's answers to Describe calls, for type checkers: import them under TYPE_CHECKING."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs

    DescribedEndpoint = type_defs.DescribeEndpointOutputTypeDef
    DescribedEndpointConfig = type_defs.DescribeEndpointConfigOutputTypeDef
    DescribedModel = type_defs.DescribeModelOutputTypeDef
    DescribedGroup = type_defs.DescribeModelPackageGroupOutputTypeDef
    DescribedVersion = type_defs.DescribeModelPackageOutputTypeDef

"""A kill -9 loses nothing that was acknowledged: S3, IAM, logs, parameters and SageMaker's own resources."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.conftest import LocalSageMaker
from tests.kits.figures import report
from tests.kits.mixed_load import GROUP, kill_under_load

Make = Callable[..., LocalSageMaker]


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_no_acknowledged_write_is_lost(make_sagemaker_local: Make, kills: int) -> None:
    server = make_sagemaker_local().start()
    server.client("logs").create_log_group(logGroupName=GROUP)
    server.client("ssm").put_parameter(Name="first", Value="loads the service", Type="String")
    chance = random.Random(kills)  # noqa: S311  (no secret)
    acknowledged, lost = 0, []
    for number in range(kills):
        written, wrong = kill_under_load(server, number, chance.randint(10, 80))
        acknowledged += written
        lost += wrong
    report(f"{kills} kills, {acknowledged} acknowledged writes, {len(lost)} lost")
    assert lost == []
    assert acknowledged >= 10 * kills

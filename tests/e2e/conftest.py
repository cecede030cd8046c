"""The stack of the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kits.laptop_kit import Laptop


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    laptop = Laptop(tmp_path_factory.mktemp("laptop"))
    try:
        laptop.stack("up")
        yield laptop
    finally:
        laptop.stack("down")

"""The tests' own walls, as tests/README.md states them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MODULES = {
    ".".join(file.relative_to(TESTS.parent).with_suffix("").parts).removesuffix(".__init__"): file
    for file in TESTS.rglob("*.py")
}


@cache
def imported(module: str) -> set[str]:
    """What a module imports, inside functions too: modules, and what may be modules of a package."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def reached(module: str) -> set[str]:
    """What a test module imports, directly and through other modules of the tests."""
    found, waiting = {"tests.conftest"}, {module}
    while waiting:
        one = waiting.pop()
        found.add(one)
        waiting |= (imported(one) - found) & MODULES.keys()
    return {name for one in found for name in imported(one)}


def test_what_tests_share_is_in_no_test_module() -> None:
    shared = {
        f"{module} imports {name}" for module in MODULES for name in imported(module) & MODULES.keys()
        if name.rpartition(".")[2].startswith("test_")
    }  # fmt: skip
    assert shared == set()


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.startswith("tests.local_sagemaker.")))
def test_the_local_sagemaker_is_tested_without_the_package(module: str) -> None:
    assert [name for name in reached(module) if name.split(".")[0] == "sagemaker_retraining"] == []


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.startswith("tests.integration.test_")))
def test_what_needs_no_package_is_no_integration_test(module: str) -> None:
    assert any(name.startswith(("sagemaker_retraining.", "include.laptop.")) for name in reached(module))


def test_the_readme_names_each_folder_and_kit() -> None:
    text = (TESTS / "README.md").read_text()
    folders = [path.name for path in TESTS.iterdir() if path.is_dir() and path.name != "__pycache__"]
    kits = [file.stem for file in (TESTS / "kits").glob("*.py") if file.stem != "__init__"]
    assert [name for name in [f"{name}/" for name in folders] + kits if f"`{name}`" not in text] == []

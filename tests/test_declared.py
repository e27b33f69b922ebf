"""pyproject.toml declares what the product imports, and nothing that it does not use."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("client", "common", "conf", "edge", "fedphd", "launch", "server")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"datasets", "lmdb", "nibabel", "pydicom", "tensorboard"}  # imported only where the user asks for it


def name(requirement: str) -> str:
    """Name the distribution of a requirement, as registries compare names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~! ;]", requirement)[0]).lower()


def imported() -> Iterator[str]:
    """Name the top-level modules that the product imports, but Python's own."""
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    yield from (alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield node.module.partition(".")[0]


def distributions() -> set[str]:
    """Name the distributions that the imported modules are of."""
    modules = set(imported()) - set(sys.stdlib_module_names) - {"fedphd"}
    owners = packages_distributions()
    return {name(owner) for module in modules for owner in owners.get(module, [module])}


DECLARED = {name(requirement) for requirement in PROJECT["dependencies"]}


def test_what_is_imported_is_declared() -> None:
    assert distributions() - DECLARED <= EXTRAS


def test_what_is_declared_is_imported() -> None:
    assert distributions() >= DECLARED


def test_the_tools_are_apart_from_what_running_needs() -> None:
    extras = PROJECT["optional-dependencies"]
    tools = {name(requirement) for extra in ("test", "lint", "dev") for requirement in extras[extra]} - {"fedphd"}
    assert not tools & DECLARED
    assert {"pytest", "mypy", "ruff"} <= tools

"""The rules of ARCHITECTURE.md that a machine can check."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TIERS = {"client", "edge", "server"}
PUBLIC_FLOWER = ("flwr.app", "flwr.clientapp", "flwr.serverapp")
ALLOWED = {("server/simulation.py", "edge")}


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def product_files() -> list[str]:
    return [str(file.relative_to(ROOT)) for top in ("common", *sorted(TIERS)) for file in (ROOT / top).rglob("*.py")]


@pytest.mark.parametrize("file", product_files())
def test_who_imports_whom(file: str) -> None:
    own = file.split("/", maxsplit=1)[0]
    foreign = {name.split(".")[0] for name in imported(ROOT / file)} & (TIERS - {own})
    assert {tier for tier in foreign if (file, tier) not in ALLOWED} == set()


@pytest.mark.parametrize("file", product_files())
def test_only_one_module_touches_what_flower_does_not_promise(file: str) -> None:
    private = {name for name in imported(ROOT / file) if name.startswith("flwr") and not name.startswith(PUBLIC_FLOWER)}
    assert not private or file == "common/flower/private.py"

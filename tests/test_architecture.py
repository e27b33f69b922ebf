"""The rules of ARCHITECTURE.md that a machine can check."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {"conf": 0, "common": 1, "client": 2, "edge": 2, "server": 2, "launch": 3}  # imports go down
ALLOWED = {("server/simulation.py", "edge")}  # puts edges into the root's process
PUBLIC_FLOWER = ("flwr.app", "flwr.clientapp", "flwr.serverapp")
BY_NAME = {"import_module", "__import__", "get_method", "get_object", "get_class", "locate"}
OWN_CHOICES = {"common/choices.py", "launch/cli.py", "server/evaluation/features.py"}  # a user's own, by import path
MODULE = re.compile(rf"(?:fedphd\.)?(?:{'|'.join(FLOORS)})(?:\.[a-z_]+)+(?::\w+)?")
APPS = {  # Flower loads apps by name
    "launch/runtimes/ray.py": {"fedphd.server.simulation:app", "fedphd.client.app:app"},
    "launch/runtimes/deployment.py": {
        "fedphd.server.simulation:app",
        "fedphd.server.app:app",
        "fedphd.client.app:app",
        "fedphd.edge.gateway:app",
    },
    "edge/gateway.py": {"fedphd.edge.app:app", "fedphd.client.app:app"},
}


def nodes(file: str) -> Iterator[ast.AST]:
    return ast.walk(ast.parse((ROOT / file).read_text()))


def imported(file: str) -> set[str]:
    names = set()
    for node in nodes(file):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def python_files(*folders: str) -> list[str]:
    return [str(file.relative_to(ROOT)) for top in folders for file in sorted((ROOT / top).rglob("*.py"))]


PRODUCT = python_files(*FLOORS)


def test_every_room_is_in_the_namespace() -> None:
    """A folder that the namespace does not link to is in no wheel."""
    links = {link.name: link.resolve() for link in (ROOT / "fedphd").iterdir() if link.is_symlink()}
    assert links == {room: ROOT / room for room in FLOORS}
    packages = {Path(file).parent for file in PRODUCT}
    assert {folder for folder in packages if not (ROOT / folder / "__init__.py").is_file()} == set()


@pytest.mark.parametrize("file", PRODUCT)
def test_imports_go_down(file: str) -> None:
    own = file.split("/", maxsplit=1)[0]
    rooms = {name.split(".")[1] for name in imported(file) if name.startswith("fedphd.")}
    above = {room for room in rooms if FLOORS.get(room, 9) >= FLOORS[own] and room != own}
    assert {room for room in above if (file, room) not in ALLOWED} == set()


@pytest.mark.parametrize("file", [*PRODUCT, *python_files("tests", "benchmarks", "docker")])
def test_rooms_are_imported_through_the_namespace(file: str) -> None:
    """A bare ``import common`` finds whatever a user's path has of that name."""
    assert {name for name in imported(file) if name.split(".")[0] in FLOORS} == set()


@pytest.mark.parametrize("file", PRODUCT)
def test_no_module_of_ours_is_named_in_a_string(file: str) -> None:
    texts = {node.value for node in nodes(file) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    named = {text for text in texts if MODULE.fullmatch(text) and not text.endswith((".log", ".pem", ".key"))}
    assert named <= APPS.get(file, set())


@pytest.mark.parametrize("file", PRODUCT)
def test_nothing_is_imported_by_name(file: str) -> None:
    called = {node.id for node in nodes(file) if isinstance(node, ast.Name)}
    called |= {node.attr for node in nodes(file) if isinstance(node, ast.Attribute)}
    assert not called & BY_NAME or file in OWN_CHOICES


@pytest.mark.parametrize("file", PRODUCT)
def test_only_one_module_touches_what_flower_does_not_promise(file: str) -> None:
    private = {name for name in imported(file) if name.startswith("flwr") and not name.startswith(PUBLIC_FLOWER)}
    assert not private or file == "common/flower/private.py"

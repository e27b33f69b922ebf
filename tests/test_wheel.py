"""The wheel: one top level, with every module and file of the product."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from fedphd.common.flower.home import FlowerHome, tool

ROOT = Path(__file__).parents[1]
ROOMS = ("client", "common", "conf", "edge", "launch", "server")
DATA = (".yaml", ".css", ".html", ".md")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the wheel from a copy, without a network; name the files in it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in (*ROOMS, "fedphd"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--wheel-dir", folder, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return set(ZipFile(wheel).namelist())


def test_has_one_top_level(files: set[str]) -> None:
    tops = {file.partition("/")[0] for file in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"fedphd"}


def test_has_every_module_and_file(files: set[str]) -> None:
    product = {
        f"fedphd/{file.relative_to(ROOT).as_posix()}"
        for room in ROOMS
        for file in (ROOT / room).rglob("*")
        if file.suffix in (".py", *DATA)
    }
    packed = {file for file in files if not file.partition("/")[0].endswith(".dist-info")}
    assert packed == product | {"fedphd/__init__.py", "fedphd/py.typed"}


def test_has_the_command(files: set[str]) -> None:
    assert any(file.endswith(".dist-info/entry_points.txt") for file in files)


def test_the_bundle_that_flwr_run_sends_holds_no_code(tmp_path: Path) -> None:
    """A `fedphd/` in it would hide the installed package: Flower follows no links when it makes a bundle."""
    app = tmp_path / "app"
    (app / "fedphd").mkdir(parents=True)
    for name in ("pyproject.toml", "LICENSE", "README.md", "fedphd/__init__.py"):
        (app / name).write_bytes((ROOT / name).read_bytes())
    home = FlowerHome(tmp_path / "home")
    command = [tool("flwr"), "build", "--app", str(app)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, env=home.environment, timeout=120)
    [bundle] = [*tmp_path.glob("*.fab"), *app.glob("*.fab")]
    with ZipFile(bundle) as archive:
        held = set(archive.namelist())
    assert held == {"pyproject.toml", "LICENSE", ".info/CONTENT"}

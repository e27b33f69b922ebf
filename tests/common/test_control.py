"""What is asked of Flower's command, and how its answers are read; the command is a stub, Flower is not started."""

import os
import tomllib
from pathlib import Path

import pytest
from stub_flwr import StubFlwr

from fedphd.common.config import compose, from_run_config, to_run_config
from fedphd.common.errors import SettingError
from fedphd.common.flower.control import Control, ControlError
from fedphd.common.flower.home import FlowerHome
from fedphd.launch.deploy.register import register_nodes


@pytest.fixture
def flwr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StubFlwr:
    return StubFlwr(tmp_path / "bin", monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> FlowerHome:
    home = FlowerHome(tmp_path / "home")
    home.connect_to("127.0.0.1:8000")
    return home


@pytest.fixture
def control(home: FlowerHome) -> Control:
    return Control(home)


# --- homes ------------------------------------------------------------------------------------------


def test_a_connection_without_certificates_is_not_secured(home: FlowerHome) -> None:
    written = tomllib.loads((home.folder / "config.toml").read_text())["superlink"]
    assert written == {"default": "fedphd", "fedphd": {"address": "127.0.0.1:8000", "insecure": True}}


def test_a_connection_with_certificates(home: FlowerHome) -> None:
    home.connect_to("root:8000", Path("/keys/ca.pem"))
    written = tomllib.loads((home.folder / "config.toml").read_text())["superlink"]
    assert written["fedphd"] == {"address": "root:8000", "root-certificates": "/keys/ca.pem"}


def test_a_process_has_a_home_of_its_own_and_finds_flowers_commands(home: FlowerHome) -> None:
    environment = home.environment
    assert environment["FLWR_HOME"] == str(home.folder)
    assert environment["FLWR_TELEMETRY_ENABLED"] == "0"
    first = environment["PATH"].split(os.pathsep)[0]
    assert (Path(first) / "flower-superlink").exists()
    assert {key for key in os.environ if key not in ("PATH", "FLWR_HOME")} <= set(environment)


def test_a_thin_app_holds_nothing_but_names(home: FlowerHome) -> None:
    folder = home.thin_app("fedphd-edge", "fedphd.edge.app:app", "fedphd.client.app:app", ["spool", "edge-id"])
    assert [file.name for file in folder.iterdir()] == ["pyproject.toml"]
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["dependencies"] == ["flwr>=1.41.0"]  # the code is installed already
    app = project["tool"]["flwr"]["app"]
    assert app["components"] == {"serverapp": "fedphd.edge.app:app", "clientapp": "fedphd.client.app:app"}
    assert app["config"] == {"spool": "", "edge-id": ""}


# --- commands ---------------------------------------------------------------------------------------


def test_a_run_is_submitted_with_its_configuration(flwr: StubFlwr, control: Control, tmp_path: Path) -> None:
    flwr.answer({"success": True, "run-id": "123"})
    config = compose(["runtime=inprocess", "seed=7"])
    run_config = to_run_config(config, tmp_path / "a run 'quoted' \"twice\"")
    assert control.submit(tmp_path / "app", run_config) == "123"
    [arguments] = flwr.arguments
    run_toml = control.home.folder / "run.toml"
    expected = ["run", str(tmp_path / "app"), "fedphd", "--run-config", str(run_toml), "--format", "json"]
    assert arguments == expected
    written = tomllib.loads(run_toml.read_text())
    assert written == run_config
    assert from_run_config(written) == config
    assert flwr.calls[0]["home"] == str(control.home.folder)


def test_a_simulation_is_told_its_resources(flwr: StubFlwr, control: Control, tmp_path: Path) -> None:
    flwr.answer({"success": True, "run-id": "1"})
    control.submit(tmp_path, {}, {"num-supernodes": 4, "client-resources-num-gpus": 0.5})
    given = flwr.arguments[0][flwr.arguments[0].index("--federation-config") + 1]
    assert given == "num-supernodes=4 client-resources-num-gpus=0.5"


def test_runs_and_nodes(flwr: StubFlwr, control: Control) -> None:
    runs, nodes = [{"run-id": "2", "status": "running"}], [{"node-id": "9", "status": "online"}]
    for _ in range(2):
        flwr.answer({"success": True, "runs": runs})
    flwr.answer({"success": True, "nodes": nodes})
    assert control.runs() == runs
    assert control.run("2") == runs[0]
    assert control.nodes() == nodes
    assert [" ".join(arguments) for arguments in flwr.arguments] == [
        "ls fedphd --format json",
        "ls fedphd --run-id 2 --format json",
        "supernode list fedphd --format json",
    ]


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        ({"success": False, "error-message": "Connection refused"}, 1, "flwr ls: Connection refused"),
        ({"success": False, "error-message": "no such run\n"}, 0, "flwr ls: no such run"),
        ({"error-message": "half an answer"}, 2, "flwr ls: half an answer"),
        ("Traceback (most recent call last): ...", 1, r"flwr ls: Traceback \(most recent"),
        ("", 0, "flwr ls: "),
    ],
)
def test_a_superlink_that_refuses(
    flwr: StubFlwr, control: Control, answer: str | dict[str, object], code: int, reason: str
) -> None:
    flwr.answer(answer, code)
    with pytest.raises(ControlError, match=reason):
        control.runs()


# --- registering nodes ------------------------------------------------------------------------------

KNOWN = {"success": False, "error-message": "Public key already in use."}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys" / "edge-0" / "node-keys"
    folder.mkdir(parents=True)
    for client in ("client-0", "client-1"):
        (folder / f"{client}.pub").write_text("ecdsa-sha2-nistp384 AAAA")
    return folder.parent


def test_nodes_are_registered_under_their_names(flwr: StubFlwr, control: Control, keys: Path, tmp_path: Path) -> None:
    flwr.answer({"success": True, "node-id": "11"})
    flwr.answer({"success": True, "node-id": "12"})
    nodes_file = tmp_path / "new" / "nodes.json"
    assert register_nodes(control, keys, nodes_file) == {"client-0": "11", "client-1": "12"}
    for arguments, client in zip(flwr.arguments, ("client-0", "client-1"), strict=True):
        public = str(keys / "node-keys" / f"{client}.pub")
        assert arguments == ["supernode", "register", public, "fedphd", "--name", client, "--format", "json"]
    assert nodes_file.exists()


def test_registering_again_keeps_what_is_known(flwr: StubFlwr, control: Control, keys: Path, tmp_path: Path) -> None:
    flwr.answer({"success": True, "node-id": "11"})
    flwr.answer({"success": True, "node-id": "12"})
    register_nodes(control, keys, tmp_path / "nodes.json")
    (keys / "node-keys" / "client-2.pub").write_text("ecdsa-sha2-nistp384 BBBB")
    for answer, code in ((KNOWN, 1), (KNOWN, 1), ({"success": True, "node-id": "13"}, 0)):
        flwr.answer(answer, code)
    again = register_nodes(control, keys, tmp_path / "nodes.json")
    assert again == {"client-0": "11", "client-1": "12", "client-2": "13"}


def test_a_superlink_that_is_not_there_is_told(flwr: StubFlwr, control: Control, keys: Path, tmp_path: Path) -> None:
    flwr.answer({"success": False, "error-message": "Connection refused"}, 1)
    with pytest.raises(ControlError, match="flwr supernode: Connection refused"):
        register_nodes(control, keys, tmp_path / "nodes.json")
    assert not (tmp_path / "nodes.json").exists()


def test_a_folder_without_node_keys_is_told(control: Control, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"has no node-keys/\*\.pub; make them with fedphd keys"):
        register_nodes(control, tmp_path, tmp_path / "nodes.json")

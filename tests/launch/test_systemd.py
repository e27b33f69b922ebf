"""The systemd units in docs/systemd: their commands are those of every other deployment, and nobody has rights."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedphd.common.config import compose
from fedphd.common.flower.home import ENVIRONMENT
from fedphd.launch.deploy.commands import superexec, superlink, supernode
from fedphd.launch.deploy.services import services

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "docs" / "systemd"
NAMES = ["superlink", "superexec", "register", "gate", "gateway", "client", "run"]
INSTANCES = dict.fromkeys(NAMES, "edge-0") | {"client": "client-0-edge-0", "run": "first"}
KEYS, STATE = Path("/etc/fedphd/keys"), Path("/var/lib/fedphd")
ADDRESS = "127.0.0.1:8000"

HARDENING = {
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallFilter=@system-service",
    "User=fedphd",
    "UMask=0077",
}


class Unit:
    """A template unit for one instance, its specifiers and variables replaced as systemd does."""

    def __init__(self, name: str) -> None:
        text = (UNITS / f"fedphd-{name}@.service").read_text().replace("\\\n", "")
        self.lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        instance = INSTANCES[name]
        self._specifiers = {"%i": instance, "%p": f"fedphd-{name}", "%S": "/var/lib", "%t": "/run"}
        self.variables: dict[str, str] = {}
        for line in self.all("Environment"):
            self.variables |= dict(one.split("=", 1) for one in shlex.split(line))
        for file in self.all("EnvironmentFile"):
            self.variables |= read_variables(UNITS / Path(file.removeprefix("-")).name)

    def all(self, key: str) -> list[str]:
        return [self._specified(line.split("=", 1)[1]) for line in self.lines if line.startswith(f"{key}=")]

    def one(self, key: str) -> str:
        (value,) = self.all(key)
        return value

    @property
    def command(self) -> list[str]:
        return list(self._words(self.one("ExecStart")))

    def _words(self, line: str) -> Iterator[str]:
        for word in shlex.split(line):
            if re.fullmatch(r"\$\w+", word):  # a word of its own without braces: several words
                yield from shlex.split(self.variables[word[1:]])
            else:
                yield re.sub(r"\$\{(\w+)\}", lambda found: self.variables[found[1]], word).replace("$$", "$")

    def _specified(self, value: str) -> str:
        return re.sub(r"%\w", lambda found: self._specifiers[found[0]], value)


def read_variables(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return {name: "".join(shlex.split(value)) for name, value in (line.split("=", 1) for line in lines)}


@pytest.fixture(params=NAMES)
def unit(request: pytest.FixtureRequest) -> Unit:
    return Unit(request.param)


def test_all_units_are_looked_at() -> None:
    assert {file.name for file in UNITS.glob("*.service")} == {f"fedphd-{name}@.service" for name in NAMES}


# --- the commands -----------------------------------------------------------------------------------


def test_a_superlink_is_for_this_host_only() -> None:
    tool, *rest = Unit("superlink").command
    expected = superlink("127.0.0.1", 8000, STATE / "edge-0" / "superlink.db", KEYS / "edge-0")
    assert [Path(tool).name, *rest] == expected


def test_a_superexec_asks_its_hosts_superlink() -> None:
    tool, *rest = Unit("superexec").command
    assert [Path(tool).name, *rest] == superexec(ADDRESS, KEYS / "edge-0")


def test_a_gateway_has_the_facts_that_edge_gateway_reads() -> None:
    facts: dict[str, str | int] = {
        "edge-id": "edge-0",
        "spool": "/var/lib/fedphd/edge-0/spool",
        "superlink": ADDRESS,
        "root-certificates": "/etc/fedphd/keys/edge-0/ca.pem",
    }
    tool, *rest = Unit("gateway").command
    assert [Path(tool).name, *rest] == supernode("root.example.org:8443", 9094, facts, KEYS / "edge-0")


def test_a_client_has_the_facts_that_client_place_reads() -> None:
    facts: dict[str, str | int] = {
        "partition-id": 0,
        "state-dir": "/var/lib/fedphd/client-0",
        "data-path": "/srv/images",
        "turns-dir": "/var/lib/fedphd/turns",
        "turns": 1,
    }
    tool, *rest = Unit("client").command
    assert [Path(tool).name, *rest] == supernode("edge-0.example.org:8443", 9094, facts, KEYS / "client-0")


def container_command(service: str) -> list[str]:
    """Give the command that this service has in a container, with the paths and addresses of a host."""
    (found,) = [one for one in services(compose(["topology=testbed", "partition=iid"])) if one.name == service]
    places = {"/keys": str(KEYS / "edge-0"), "edge-0-superlink:8000": ADDRESS, "8000": "8443"}
    return [places.get(part, part).replace("/state/", f"{STATE}/edge-0/") for part in found.command]


def test_the_registration_is_that_of_the_containers() -> None:
    tool, *rest = Unit("register").command
    assert [Path(tool).name, *rest] == container_command("edge-0-register")


def test_the_gate_is_that_of_the_containers_behind_a_pipe() -> None:
    shell, option, script, *rest = Unit("gate").command
    assert (shell, option, script) == ("/bin/sh", "-c", '"$0" "$@" | cat')
    assert rest == container_command("edge-0-gate")
    # The pipe brings the arguments and the output.
    done = subprocess.run([shell, option, script, "echo", *rest[1:]], capture_output=True, text=True, check=True)
    assert done.stdout.split() == rest[1:]


def test_a_run_goes_to_this_hosts_root() -> None:
    tool, *overrides = Unit("run").command
    config = compose(overrides)
    assert Path(tool).name == "fedphd"
    assert (config.runtime.name, config.runtime.superlink, config.runtime.insecure) == ("deployment", ADDRESS, False)
    assert config.runtime.root_certificates == KEYS / "root" / "ca.pem"
    assert "hydra.run.dir=/var/lib/fedphd/runs/first" in overrides
    assert (config.topology.clients, config.partition.kind) == (4, "own")  # of run-first.env


# --- where and how they run -------------------------------------------------------------------------


def test_tools_are_in_one_environment_that_flower_finds_by_path(unit: Unit) -> None:
    tool = Path(unit.command[0])
    assert tool.parent == Path("/opt/fedphd/bin") or tool == Path("/bin/sh")
    assert unit.variables["PATH"].split(":")[0] == "/opt/fedphd/bin"


def test_flower_is_kept_quiet_and_to_itself(unit: Unit) -> None:
    assert read_variables(UNITS / "flower.env") == ENVIRONMENT
    assert unit.variables.items() >= ENVIRONMENT.items()
    assert unit.variables["FLWR_HOME"] == f"/run/{unit.one('RuntimeDirectory')}"  # of this process alone


def test_what_is_written_is_in_the_state_directory(unit: Unit) -> None:
    written = re.findall(r"/var/lib/[\w/.-]+", " ".join(unit.command))
    folders = [Path("/var/lib") / folder for folder in unit.one("StateDirectory").split()]
    assert STATE in folders
    assert all(STATE in Path(path).parents for path in written)
    # SQLite and `fedphd register` do not make the folder of their file.
    files = [Path(path) for path in written if Path(path).suffix in (".db", ".json")]
    assert all(file.parent in folders for file in files)


def test_services_come_back_for_ever(unit: Unit) -> None:
    job = {"register": ("oneshot", "on-failure"), "run": ("exec", "no")}
    name = unit.one("RuntimeDirectory").split("/")[0].removeprefix("fedphd-")
    assert (unit.one("Type"), unit.one("Restart")) == job.get(name, ("exec", "always"))
    if name != "run":
        # A killed node is refused for up to a minute: more starts than systemd allows by default.
        assert (unit.one("RestartSec"), unit.one("StartLimitIntervalSec")) == ("5", "0")


def test_nobody_has_rights(unit: Unit) -> None:
    assert set(unit.lines) >= HARDENING
    computes = any(tool in " ".join(unit.command) for tool in ("superexec --", "partition-id", "runtime=deployment"))
    assert ("PrivateDevices=yes" in unit.lines) != computes  # it hides GPUs


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_reads_them(tmp_path: Path) -> None:
    for name, instance in INSTANCES.items():
        text = (UNITS / f"fedphd-{name}@.service").read_text()
        # Its check asks for the programs, which need not be here.
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE)
        for file in (f"fedphd-{name}@.service", f"fedphd-{name}@{instance}.service"):
            (tmp_path / file).write_text(text)
    files = [str(tmp_path / f"fedphd-{name}@{instance}.service") for name, instance in INSTANCES.items()]
    command = ["systemd-analyze", "verify", "--man=no", *files]
    done = subprocess.run(
        command, env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- the page about them ----------------------------------------------------------------------------


def test_the_page_names_every_unit_and_no_other() -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    assert set(re.findall(r"fedphd-([a-z]+)@", page)) == set(NAMES)


def test_the_pages_commands_are_these_too() -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    (block,) = re.findall(r"### Without systemd.*?```bash\n(.*?)```", page, re.DOTALL)
    lines = [shlex.split(line, comments=True) for line in block.replace("\\\n", "").splitlines()]
    edge, state = Path("KEYS/edge-0"), Path("STATE")
    gateway: dict[str, str | int] = {"edge-id": "edge-0", "spool": "STATE/spool", "superlink": ADDRESS}
    gateway["root-certificates"] = "KEYS/edge-0/ca.pem"
    client: dict[str, str | int] = {"partition-id": 0, "state-dir": "STATE/client-0", "data-path": "/srv/images"}
    assert lines[:-1] == [
        superlink("127.0.0.1", 8000, state / "superlink.db", edge),
        superexec(ADDRESS, edge),
        ["fedphd", "register", str(edge), "--superlink", ADDRESS, "--nodes", "STATE/nodes.json"],
        ["/opt/gate/gate", ADDRESS, "8443", str(edge)],
        supernode("root.example.org:8443", 9094, gateway, edge),
        supernode("edge-0.example.org:8443", 9094, client, Path("KEYS/client-0")),
    ]
    assert compose(lines[-1][1:]).runtime.superlink == ADDRESS

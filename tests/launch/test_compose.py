"""The compose files: what is committed is what is rendered, and who can reach whom, read from the YAML itself."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedphd.common.config import Config, compose
from fedphd.common.config.topology import homes
from fedphd.launch.deploy.compose import OWNER, render
from fedphd.launch.deploy.keys import nodes_of
from fedphd.launch.deploy.services import USER, services

ROOT = Path(__file__).parents[2]
COMMITTED = ["topology=testbed", "partition.classes_per_client=5"]
TOPOLOGIES = {
    "testbed": COMMITTED,
    "own homes": ["topology.clients=4", "topology.edges=3", "topology.homes=[[0],[2,1],[1],[0,1]]", "partition=iid"],
    "flat": ["topology=flat", "topology.clients=3", "partition=dirichlet"],
}

Tree = dict[str, Any]


@pytest.fixture(params=TOPOLOGIES.values(), ids=TOPOLOGIES.keys())
def config(request: pytest.FixtureRequest) -> Config:
    return compose(request.param)


@pytest.fixture
def file(config: Config) -> Tree:
    tree: Tree = yaml.safe_load(render(config))
    return tree


def networks(service: Tree) -> set[str]:
    """... that a container is in; none without a network."""
    assert ("networks" in service) != (service.get("network_mode") == "none")
    return set(service.get("networks", []))


def neighbours(file: Tree, name: str) -> set[str]:
    """Name the services that share a network with a service."""
    own = networks(file["services"][name])
    return {other for other, service in file["services"].items() if own & networks(service)} - {name}


def volumes(service: Tree) -> dict[str, str]:
    """Map where volumes are mounted to what is mounted there; the default of FEDPHD_DATA stands for it."""
    entries = [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", entry).split(":", maxsplit=1) for entry in service.get("volumes", [])]
    return {where: what for what, where in entries}


# --- the committed files ----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "gpu"), [("docker-compose.yml", False), ("docker-compose.gpu.yml", True)])
def test_the_committed_file_is_what_is_rendered(name: str, gpu: bool) -> None:
    text = render(compose(COMMITTED), gpu=gpu)
    assert (ROOT / name).read_text() == text, (
        f"fedphd compose {'--gpu ' * gpu}{' '.join(COMMITTED)} > {name}  brings it up to date"
    )


# --- who can reach whom -----------------------------------------------------------------------------


def test_a_client_reaches_only_its_homes_gate_and_other_clients(config: Config, file: Tree) -> None:
    for tier, nodes in nodes_of(config.topology).items():
        for client in nodes if tier != "root" or not config.topology.edges else ():
            others = neighbours(file, f"{client}-{tier}")
            assert {other for other in others if not other.startswith("client-")} == {f"{tier}-gate"}


def test_an_edge_reaches_only_the_roots_gate_and_other_gateways(config: Config, file: Tree) -> None:
    edges = set(nodes_of(config.topology)) - {"root"}
    for edge in edges:
        foreign = {other for other in neighbours(file, f"{edge}-gateway") if not other.startswith(f"{edge}-")}
        assert foreign == {"root-gate", *(f"{other}-gateway" for other in edges - {edge})}


def test_only_gates_and_gateways_have_two_sides(file: Tree) -> None:
    two_sided = {name for name, service in file["services"].items() if len(networks(service)) > 1}
    assert two_sided == {name for name in file["services"] if name.endswith(("-gate", "-gateway"))}


def test_the_run_and_the_superlinks_apis_stay_within_their_tier(config: Config, file: Tree) -> None:
    for tier in nodes_of(config.topology):
        own = {f"{tier}-{what}" for what in ("superexec", "register", "gate")}
        own |= {"run"} if tier == "root" else {f"{tier}-gateway"}
        assert neighbours(file, f"{tier}-superlink") == own


def test_nothing_leaves_the_machine_and_nothing_is_published(file: Tree) -> None:
    assert all(network == {"internal": True} for network in file["networks"].values())
    assert not any(key in service for service in file["services"].values() for key in ("ports", "expose"))


def test_containers_have_no_rights(file: Tree) -> None:
    for name, service in file["services"].items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        # One job, without a network, gives new volumes to the image's user.
        assert ("user" in service, service.get("cap_add")) == ((True, ["CHOWN"]) if name == OWNER else (False, None))
    assert networks(file["services"][OWNER]) == set()


def test_everybody_holds_only_their_own_keys(config: Config, file: Tree) -> None:
    for name, service in file["services"].items():
        held = {what for what in volumes(service).values() if what.startswith("keys-")}
        if name in ("keys", OWNER):
            everybody = {"authority", *nodes_of(config.topology), *homes(config.topology)}
            assert held == {f"keys-{holder}" for holder in everybody}
            assert networks(service) == set()
        else:
            match = re.match(r"root|edge-\d+|client-\d+", name)
            assert held == {f"keys-{match[0] if match else 'root'}"}  # `run` is the root's
            assert service["volumes"][0] == f"{held.pop()}:/keys:ro"


def test_images_are_only_where_they_are_needed(file: Tree) -> None:
    with_images = {name for name, service in file["services"].items() if "/data:ro" in volumes(service)}
    clients = {name for name in file["services"] if name.startswith("client-")}
    assert with_images == {"run", "root-superexec", *clients}


# --- what belongs together --------------------------------------------------------------------------


def test_each_client_has_a_node_for_each_home_and_one_disk(config: Config, file: Tree) -> None:
    nodes = {name for name in file["services"] if name.startswith("client-")}
    expected = {
        f"{client}-{home if config.topology.edges else 'root'}"
        for client, own in homes(config.topology).items()
        for home in own
    }
    assert nodes == expected
    for name in nodes:
        client = re.match(r"client-\d+", name)
        assert client is not None
        assert volumes(file["services"][name])["/state"] == f"{client[0]}-state"


def test_an_edges_two_faces_share_the_spool_and_the_root_shares_the_run_folder(config: Config, file: Tree) -> None:
    for edge in set(nodes_of(config.topology)) - {"root"}:
        spools = {volumes(file["services"][f"{edge}-{face}"])["/spool"] for face in ("gateway", "superexec")}
        assert spools == {f"{edge}-spool"}
    assert {volumes(file["services"][name])["/runs"] for name in ("run", "root-superexec")} == {"runs"}


def test_what_is_used_is_declared_and_the_other_way_round(file: Tree) -> None:
    used = file["services"].values()
    assert {network for service in used for network in networks(service)} == set(file["networks"])
    assert {what for service in used for what in volumes(service).values()} == set(file["volumes"])


def test_addresses_in_commands_are_neighbours(file: Tree) -> None:
    found = 0
    for name, service in file["services"].items():
        for host in re.findall(r"([a-z0-9-]+-(?:gate|superlink)):8000", " ".join(service["command"])):
            assert host in neighbours(file, name)
            found += 1
    assert found > len(file["networks"])


def test_every_service_waits_for_the_keys_and_for_nobody_who_waits_for_it(file: Tree) -> None:
    def before(name: str, waiting: tuple[str, ...] = ()) -> set[str]:
        assert name not in waiting
        direct = set(file["services"][name].get("depends_on", {}))
        return direct.union(*(before(one, (*waiting, name)) for one in direct))

    for name, service in file["services"].items():
        assert name in ("keys", OWNER) or "keys" in before(name)
        for other, need in service.get("depends_on", {}).items():
            needed = file["services"][other]
            # What is waited for until it is healthy can tell; what is waited for until it is done ends.
            assert (need["condition"] == "service_healthy") == ("healthcheck" in needed)
            assert (need["condition"] == "service_completed_successfully") == (needed["restart"] != "unless-stopped")


def test_only_jobs_end(file: Tree) -> None:
    restarts = {name: service["restart"] for name, service in file["services"].items()}
    assert {name for name, restart in restarts.items() if restart == "no"} == {OWNER, "keys", "run"}
    assert all(name.endswith("-register") for name, restart in restarts.items() if restart == "on-failure")


# --- the run ----------------------------------------------------------------------------------------


def submitted(file: Tree, **settings: str) -> list[str]:
    """Let a shell make the arguments with which `run` calls ``fedphd``."""
    service = file["services"]["run"]
    environment = {name: settings.get(name, "") for name in service["environment"] if name.startswith("FEDPHD_")}
    *shell, script = (part.replace("$$", "$") for part in service["command"])
    script = script.replace("exec fedphd", r"printf '%s\n'")
    return subprocess.run([*shell, script], env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_the_run_has_the_files_topology_and_partition(config: Config, file: Tree) -> None:
    run = compose(submitted(file))
    assert run.topology == config.topology
    assert run.partition == config.partition
    assert run.runtime.superlink == "root-superlink:8000"
    assert not run.runtime.insecure


def test_the_users_overrides_count_but_for_who_there_is(config: Config, file: Tree) -> None:
    overrides = "method=fedavg topology.quorum=0.25 partition=quantity rounds=3 topology.clients=77"
    run = compose(submitted(file, FEDPHD_OVERRIDES=overrides))
    assert (run.method, run.topology.quorum, run.partition.kind, run.rounds) == ("fedavg", 0.25, "quantity", 3)
    assert run.topology.clients == config.topology.clients


def test_a_run_can_be_named(file: Tree) -> None:
    assert "hydra.run.dir=/runs/one" in submitted(file, FEDPHD_RUN="one")
    assert not any("hydra.run.dir" in argument for argument in submitted(file))


# --- GPUs and the image -----------------------------------------------------------------------------


def test_the_gpu_file_gives_gpus_to_those_that_compute(config: Config, file: Tree) -> None:
    overrides = yaml.safe_load(render(config, gpu=True))["services"]
    clients = {name for name in file["services"] if name.startswith("client-")}
    assert set(overrides) == {"root-superexec", *clients}
    for name, service in overrides.items():
        [device] = service["deploy"]["resources"]["reservations"]["devices"]
        [gpu] = device["device_ids"]
        match = re.match(r"root|client-\d+", name)
        assert match is not None
        assert gpu == f"${{FEDPHD_GPU_{match[0].upper().replace('-', '_')}:-0}}"
        if name in clients:
            # Who has the same GPU takes turns in the same folder; else the command is as without GPUs.
            assert service["volumes"] == ["turns:/turns"]
            turns = f" turns-dir='/turns/{gpu}'"
            assert [part.replace(turns, "") for part in service["command"]] == file["services"][name]["command"]
            assert sum(turns in part for part in service["command"]) == 1


def test_the_image_has_the_user_and_the_folders_that_the_containers_use(config: Config) -> None:
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    assert f"--uid {USER}" in dockerfile
    [owned] = re.findall(r"chown fedphd:fedphd (.*)", dockerfile)
    paths = {f"/{mount.path.parts[1]}" for service in services(config) for mount in service.mounts}
    assert paths <= set(owned.split())

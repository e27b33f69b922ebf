"""The command of each role, read back by Flower's own parsers."""

from argparse import Namespace
from pathlib import Path

import pytest
from flwr.common.config import parse_config_args
from flwr.supercore.cli.flower_superexec import _parse_args as superexec_parser
from flwr.superlink.cli.flower_superlink import _parse_args_run_superlink as superlink_parser
from flwr.supernode.cli.flower_supernode import _parse_args_run_supernode as supernode_parser

from fedphd.launch.deploy.commands import superexec, superlink, supernode

KEYS = Path("/keys")
FACTS: dict[str, str | int] = {"partition-id": 3, "state-dir": "/state", "root-certificates": ""}


def parsed_superlink(keys: Path | None) -> Namespace:
    command = superlink("0.0.0.0", 8000, Path("/state/state.db"), keys)
    assert command[0] == "flower-superlink"
    return superlink_parser().parse_args(command[1:])


def parsed_superexec(keys: Path | None) -> Namespace:
    command = superexec("root-superlink:8000", keys)
    assert command[0] == "flower-superexec"
    return superexec_parser().parse_args(command[1:])


def parsed_supernode(keys: Path | None) -> Namespace:
    command = supernode("edge-0-gate:8000", 9100, FACTS, keys)
    assert command[0] == "flower-supernode"
    return supernode_parser().parse_args(command[1:])


def test_a_superlink_keeps_its_state_and_leaves_apps_to_others() -> None:
    given = parsed_superlink(KEYS)
    assert (given.host, given.port, given.database, given.isolation) == ("0.0.0.0", 8000, "/state/state.db", "process")


def test_a_superlink_proves_itself_and_lets_in_whom_it_knows() -> None:
    given = parsed_superlink(KEYS)
    certificates = given.ssl_certfile, given.ssl_keyfile, given.ssl_ca_certfile
    assert certificates == ("/keys/server.pem", "/keys/server.key", "/keys/ca.pem")
    assert given.enable_supernode_auth
    assert given.superexec_auth_secret_file == "/keys/superexec.secret"
    assert not given.insecure


def test_a_superexec_knows_its_superlink_and_the_secret() -> None:
    given = parsed_superexec(KEYS)
    assert given.runtime_api_address == "root-superlink:8000"
    assert (given.root_certificates, given.superexec_auth_secret_file) == ("/keys/ca.pem", "/keys/superexec.secret")
    assert not given.insecure


def test_a_supernode_trusts_its_authority_and_has_its_key() -> None:
    given = parsed_supernode(KEYS)
    assert (given.superlink, given.port) == ("edge-0-gate:8000", 9100)
    assert (given.root_certificates, given.auth_supernode_private_key) == ("/keys/ca.pem", "/keys/node")
    assert not given.insecure


@pytest.mark.parametrize("parsed", [parsed_superlink, parsed_superexec, parsed_supernode])
def test_without_keys_nothing_is_secured(parsed) -> None:
    given = parsed(None)
    assert given.insecure
    files = [key for key, value in vars(given).items() if value and ("cert" in key or "secret" in key or "auth" in key)]
    assert files == []


@pytest.mark.parametrize(
    "folder", ["/state", "/a folder/with spaces", "/Größe", "C:\\fedphd", "/home/o'brien/runs", ""]
)
def test_a_nodes_facts_come_through_flowers_parser(folder: str) -> None:
    facts: dict[str, str | int] = {"partition-id": 3, "state-dir": folder, "turns": 1, "superlink": "edge-0:8000"}
    given = supernode_parser().parse_args(supernode("edge-0:8000", 9100, facts, None)[1:])
    assert parse_config_args([given.node_config]) == facts

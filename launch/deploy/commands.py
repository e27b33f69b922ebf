"""The Flower command of each role: SuperLink, SuperExec, SuperNode.

Processes on loopback, containers and units on a cluster all start these. `keys` is always the folder
of the holder (launch/deploy/keys.py), or None for a deployment without TLS and authentication.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from fedphd.launch.deploy.keys import CA, NODE, SECRET, SERVER, SERVER_KEY

INSECURE = ["--insecure"]


def superlink(host: str, port: int, database: Path, keys: Path | None) -> list[str]:
    """Build the command of a SuperLink that outlives `kill -9`: state in SQLite, ServerApps in other processes."""
    command = ["flower-superlink", "--host", host, "--port", str(port), "--database", str(database)]
    command += ["--isolation", "process"]
    if keys is None:
        return command + INSECURE
    certificates = {"--ssl-certfile": SERVER, "--ssl-keyfile": SERVER_KEY, "--ssl-ca-certfile": CA}
    command += [part for option, file in certificates.items() for part in (option, str(keys / file))]
    return [*command, "--enable-supernode-auth", "--superexec-auth-secret-file", str(keys / SECRET)]


def superexec(address: str, keys: Path | None) -> list[str]:
    """Build the command of the SuperExec that runs the ServerApps of the SuperLink at `address`, ``host:port``."""
    command = ["flower-superexec", "--runtime-api-address", address]
    if keys is None:
        return command + INSECURE
    return [*command, "--root-certificates", str(keys / CA), "--superexec-auth-secret-file", str(keys / SECRET)]


def supernode(superlink: str, port: int, node_config: Mapping[str, str | int], keys: Path | None) -> list[str]:
    """Build the command of a node of the SuperLink at `superlink`; `port` is for its own apps, on loopback."""
    facts = " ".join(f"{key}={_toml(value)}" for key, value in node_config.items())
    command = ["flower-supernode", "--superlink", superlink, "--port", str(port), "--node-config", facts]
    if keys is None:
        return command + INSECURE
    return [*command, "--root-certificates", str(keys / CA), "--auth-supernode-private-key", str(keys / NODE)]


def _toml(value: str | int) -> str:
    """Write a value as Flower's parser of node configs takes it: an apostrophe would end a text in apostrophes."""
    if isinstance(value, int) or "'" in value:
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}'"

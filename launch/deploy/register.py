"""Telling a SuperLink the keys of its nodes, under their names."""

import json
from pathlib import Path

from fedphd.common.errors import SettingError
from fedphd.common.flower.control import Control
from fedphd.common.keeping.private_files import write_private
from fedphd.launch.deploy.keys import NODE_KEYS


def register_nodes(control: Control, keys: Path, nodes_file: Path) -> dict[str, str]:
    """Register all node keys of a tier; those that are registered already stay so.

    Parameters
    ----------
    control : Control
        The tier's SuperLink.
    keys : Path
        The tier's folder of keys.
    nodes_file : Path
        Takes the names and Flower's ids of the nodes, as JSON; Flower does not list names.

    Returns
    -------
    dict[str, str]
        Flower's node id of each name.

    Raises
    ------
    SettingError
        If there are no keys.
    ControlError
        If the SuperLink cannot be reached or refuses a key.
    """
    public_keys = sorted((keys / NODE_KEYS).glob("*.pub"))
    if not public_keys:
        raise SettingError("keys", keys, f"has no {NODE_KEYS}/*.pub; make them with fedphd keys")
    nodes: dict[str, str] = json.loads(nodes_file.read_text(encoding="utf-8")) if nodes_file.exists() else {}
    for public_key in public_keys:
        node_id = control.register(public_key, public_key.stem)
        if node_id is not None:
            nodes[public_key.stem] = node_id
            write_private(nodes_file, json.dumps(nodes).encode())
    return nodes

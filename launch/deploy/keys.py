"""All keys of a deployment, one folder for each holder, so that a host gets only its own.

=============  ========================================================================================
folder         files
=============  ========================================================================================
``authority``  ``ca.pem``, ``ca.key``: signs server certificates; needed on no host
``root``       ``ca.pem``, ``server.pem``, ``server.key``, ``superexec.secret``, ``node-keys/edge-0.pub`` ...
``edge-0``     the same for its own SuperLink (``node-keys/client-0.pub`` ...), and ``node``, ``node.pub``
``client-0``   ``ca.pem``, ``node``, ``node.pub``
=============  ========================================================================================

``node`` is the key by which an edge proves itself at the root, or a client at all of its edges.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fedphd.common.config import TopologyConfig
from fedphd.common.config.topology import edge_ids, homes, members
from fedphd.common.errors import SettingError
from fedphd.common.keeping.private_files import private_folder, write_private
from fedphd.launch.deploy.authority import Authority

ROOT = "root"
CA, SERVER, SERVER_KEY, SECRET, NODE = "ca.pem", "server.pem", "server.key", "superexec.secret", "node"
NODE_KEYS = "node-keys"
LOOPBACK = ("localhost", "127.0.0.1")


def nodes_of(topology: TopologyConfig) -> dict[str, list[str]]:
    """Name the nodes of each SuperLink: edges are the root's, clients their edges'; in a flat topology, the root's."""
    if topology.edges == 0:
        return {ROOT: list(homes(topology))}
    return {ROOT: edge_ids(topology), **{edge: members(topology, edge) for edge in edge_ids(topology)}}


def make_keys(folder: Path, topology: TopologyConfig, hosts: Mapping[str, Sequence[str]] | None = None) -> None:
    """Make what is missing in a deployment's folder of keys; what exists stays.

    Parameters
    ----------
    folder : Path
        Where the holders' folders are.
    topology : TopologyConfig
        Who there is.
    hosts : Mapping[str, Sequence[str]], optional
        More DNS names and IP addresses of a tier's server.

    Raises
    ------
    SettingError
        If the authority's files cannot be read.
    """
    authority = Authority.at(private_folder(folder / "authority"))
    for tier, nodes in nodes_of(topology).items():
        own = private_folder(folder / tier)
        names = (tier, *LOOPBACK, f"{tier}-superlink", f"{tier}-gate", *(hosts or {}).get(tier, ()))
        _server(own, authority, tier, dict.fromkeys(names))
        for node in nodes:
            public = _node(private_folder(folder / node))
            _known(own / NODE_KEYS / f"{node}.pub", public)
            _once(folder / node / CA, authority.pem)
        _once(own / CA, authority.pem)


def _server(folder: Path, authority: Authority, tier: str, hosts: Iterable[str]) -> None:
    _once(folder / SECRET, secrets.token_hex(32).encode())
    if not all((folder / file).exists() for file in (SERVER, SERVER_KEY)):
        certificate, key = authority.issue(tier, hosts)
        write_private(folder / SERVER_KEY, key)
        write_private(folder / SERVER, certificate)


def _node(folder: Path) -> bytes:
    """Give a node's public key, in OpenSSH's format as Flower reads it; make the pair if there is none.

    A public key alone is that of a node which keeps its private key to itself.
    """
    if not (folder / f"{NODE}.pub").exists():
        public = _private(folder / NODE).public_key()
        text = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        write_private(folder / f"{NODE}.pub", text + b"\n")
    return (folder / f"{NODE}.pub").read_bytes()


def _private(file: Path) -> ec.EllipticCurvePrivateKey:
    """Read a node's private key; make one if there is none."""
    if not file.exists():
        made = ec.generate_private_key(ec.SECP384R1())
        text = made.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        write_private(file, text)
    try:
        key = serialization.load_ssh_private_key(file.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise SettingError("keys", file, f"cannot be read ({error}); restore it, or remove it") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SettingError("keys", file, "is not an elliptic-curve key; restore it, or remove it")
    return key


def _known(path: Path, public: bytes) -> None:
    """Give a SuperLink a node's public key; one that was known before must be the same."""
    _once(path, public)
    if path.read_bytes() != public:
        raise SettingError("keys", path, "is not the key that the node has; restore the node's, or remove this file")


def _once(path: Path, data: bytes) -> None:
    if not path.exists():
        write_private(path, data)

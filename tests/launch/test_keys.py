"""Who holds which keys."""

import shutil
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from helpers import small_config

from fedphd.common.config import TopologyConfig
from fedphd.common.errors import SettingError
from fedphd.launch.deploy.authority import Authority
from fedphd.launch.deploy.keys import make_keys, nodes_of

HOMES = "topology.homes=[[0],[0,1],[1]]"
SERVERS = {"ca.pem", "server.pem", "server.key", "superexec.secret"}
NODE = {"ca.pem", "node", "node.pub"}
FILES = {
    "authority": {"ca.pem", "ca.key"},
    "root": SERVERS | {"node-keys/edge-0.pub", "node-keys/edge-1.pub"},
    "edge-0": SERVERS | NODE | {"node-keys/client-0.pub", "node-keys/client-1.pub"},
    "edge-1": SERVERS | NODE | {"node-keys/client-1.pub", "node-keys/client-2.pub"},
    "client-0": NODE,
    "client-1": NODE,
    "client-2": NODE,
}
TIERS = ("root", "edge-0", "edge-1")


def topology(*overrides: str) -> TopologyConfig:
    return small_config("topology.clients=3", *overrides).topology


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder, topology(HOMES), {"edge-1": ["edge.example.org", "10.1.2.3"]})
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "keys"))


def files(folder: Path) -> dict[str, set[str]]:
    return {
        holder.name: {str(file.relative_to(holder)) for file in holder.rglob("*") if file.is_file()}
        for holder in folder.iterdir()
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def names(folder: Path, tier: str) -> list[str]:
    certificate = x509.load_pem_x509_certificate((folder / tier / "server.pem").read_bytes())
    own = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in own]


def test_each_holder_has_its_own_and_nothing_else(made: Path) -> None:
    assert files(made) == FILES


def test_a_flat_topology_has_no_edges(tmp_path: Path) -> None:
    make_keys(tmp_path, topology("topology.edges=0"))
    assert nodes_of(topology("topology.edges=0")) == {"root": ["client-0", "client-1", "client-2"]}
    clients = {"node-keys/client-0.pub", "node-keys/client-1.pub", "node-keys/client-2.pub"}
    assert files(tmp_path) == {
        "authority": {"ca.pem", "ca.key"},
        "root": SERVERS | clients,
        **{f"client-{i}": NODE for i in range(3)},
    }


def test_nothing_is_for_others_to_read(made: Path) -> None:
    for path in made.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_the_authoritys_key_is_nowhere_but_in_its_folder(made: Path) -> None:
    key = (made / "authority" / "ca.key").read_bytes()
    assert [name for name, data in contents(made).items() if key in data] == ["authority/ca.key"]


def test_no_two_holders_share_a_secret(made: Path) -> None:
    secrets = [data for name, data in contents(made).items() if name.endswith((".key", ".secret", "/node"))]
    assert len(secrets) == 1 + 2 * 3 + 2 + 3  # authority; each server's key and secret; edges' and clients' keys
    assert len(set(secrets)) == len(secrets)
    assert all(len((made / tier / "superexec.secret").read_bytes()) == 64 for tier in TIERS)


@pytest.mark.parametrize("tier", TIERS)
def test_a_server_can_use_its_certificate(made: Path, tier: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made / tier / "server.pem", made / tier / "server.key")
    certificate = x509.load_pem_x509_certificate((made / tier / "server.pem").read_bytes())
    certificate.verify_directly_issued_by(Authority.at(made / "authority").certificate)
    assert (made / tier / "ca.pem").read_bytes() == (made / "authority" / "ca.pem").read_bytes()


def test_servers_go_by_these_names(made: Path) -> None:
    own = ["localhost", "127.0.0.1"]
    assert names(made, "root") == ["root", *own, "root-superlink", "root-gate"]
    assert names(made, "edge-1") == [
        "edge-1",
        *own,
        "edge-1-superlink",
        "edge-1-gate",
        "edge.example.org",
        "10.1.2.3",
    ]


@pytest.mark.parametrize("holder", ["edge-0", "client-1"])
def test_a_node_has_the_key_that_its_superlinks_know(made: Path, holder: str) -> None:
    private = serialization.load_ssh_private_key((made / holder / "node").read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    own = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    known = list(made.rglob(f"node-keys/{holder}.pub"))
    assert len(known) == (1 if holder == "edge-0" else 2)
    for path in [made / holder / "node.pub", *known]:
        assert path.read_bytes() == own + b"\n"


# --- making them again ------------------------------------------------------------------------------


def test_what_exists_stays(folder: Path) -> None:
    before = contents(folder)
    make_keys(folder, topology(HOMES))
    assert contents(folder) == before


def test_an_edge_and_a_client_that_come_later_get_theirs(folder: Path) -> None:
    before = contents(folder)
    bigger = small_config("topology.clients=4", "topology.edges=3", "topology.homes=[[0],[0,1],[1],[2,0]]").topology
    make_keys(folder, bigger)
    after = contents(folder)
    assert {name: after[name] for name in before} == before
    assert files(folder)["edge-2"] == SERVERS | NODE | {"node-keys/client-3.pub"}
    assert "node-keys/client-3.pub" in files(folder)["edge-0"]
    assert "node-keys/edge-2.pub" in files(folder)["root"]


@pytest.mark.parametrize(
    "lost",
    ["edge-0/server.pem", "edge-0/superexec.secret", "root/ca.pem", "client-1/ca.pem", "root/node-keys/edge-0.pub"],
)
def test_what_is_missing_is_added(folder: Path, lost: str) -> None:
    before = contents(folder)
    (folder / lost).unlink()
    make_keys(folder, topology(HOMES))
    after = contents(folder)
    assert set(after) == set(before)
    new = {lost, "edge-0/server.key"} if lost == "edge-0/server.pem" else {lost}
    assert {name for name in before if after[name] != before[name]} <= new
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / "edge-0/server.pem", folder / "edge-0/server.key")


@pytest.mark.parametrize("lost", ["client-1/node.pub", "edge-0/server.key"])
def test_halves_of_a_pair_are_never_put_together(folder: Path, lost: str) -> None:
    """Whatever is made anew, a private key fits its public one or the user is told."""
    (folder / lost).unlink()
    try:
        make_keys(folder, topology(HOMES))
    except SettingError:
        return
    for holder in ("client-1", "edge-0"):
        private = serialization.load_ssh_private_key((folder / holder / "node").read_bytes(), None)
        public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        for known in folder.rglob(f"node-keys/{holder}.pub"):
            assert known.read_bytes() == public + b"\n"
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / "edge-0/server.pem", folder / "edge-0/server.key")


def test_a_client_may_keep_its_private_key_to_itself(folder: Path) -> None:
    public = (folder / "client-1" / "node.pub").read_bytes()
    (folder / "client-1" / "node").unlink()
    make_keys(folder, topology(HOMES))
    assert not (folder / "client-1" / "node").exists()
    assert {file.read_bytes() for file in folder.rglob("node-keys/client-1.pub")} == {public}


def test_a_torn_private_key_is_refused(folder: Path) -> None:
    (folder / "client-1" / "node.pub").unlink()
    (folder / "client-1" / "node").write_bytes(b"torn")
    with pytest.raises(SettingError, match="client-1/node: cannot be read"):
        make_keys(folder, topology(HOMES))


def test_a_torn_authority_is_refused(folder: Path) -> None:
    (folder / "authority" / "ca.key").write_bytes(b"torn")
    with pytest.raises(SettingError, match="restore it, or make all keys anew"):
        make_keys(folder, topology(HOMES))

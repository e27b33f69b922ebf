"""Certificates that TLS clients accept for the right names, and no others."""

import shutil
import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from fedphd.common.errors import SettingError
from fedphd.launch.deploy.authority import CERTIFICATE, DAYS, KEY, Authority


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    Authority.at(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "authority"))


def handshake(authority: Path, folder: Path, name: str) -> None:
    """Let a client connect over TLS to a server with the certificate in `folder`, calling it `name`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    client = ssl.create_default_context(cafile=authority / CERTIFICATE)
    here, there = socket.socketpair()

    def answer() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as connection:
                connection.recv(1)
        except OSError:
            there.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname=name) as connection:
            connection.send(b"x")
    finally:
        here.close()
        thread.join()


def issue(folder: Path, target: Path, *hosts: str) -> None:
    certificate, key = Authority.at(folder).issue("edge-0", hosts)
    target.mkdir()
    (target / "server.pem").write_bytes(certificate)
    (target / "server.key").write_bytes(key)


def test_a_client_trusts_the_servers_of_its_authority_by_each_of_their_names(folder: Path, tmp_path: Path) -> None:
    hosts = ["edge-0", "localhost", "edge-0.example.org", "127.0.0.1", "10.1.2.3", "fd00::1"]
    issue(folder, tmp_path / "server", *hosts)
    for name in hosts:
        handshake(folder, tmp_path / "server", name)


@pytest.mark.parametrize("name", ["edge-1", "example.org", "10.1.2.4"])
def test_a_client_refuses_a_server_by_another_name(folder: Path, tmp_path: Path, name: str) -> None:
    issue(folder, tmp_path / "server", "edge-0", "localhost", "10.1.2.3")
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        handshake(folder, tmp_path / "server", name)


def test_a_client_refuses_the_servers_of_another_authority(folder: Path, tmp_path: Path) -> None:
    issue(folder, tmp_path / "server", "localhost")
    Authority.at(tmp_path / "another")
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        handshake(tmp_path / "another", tmp_path / "server", "localhost")


def test_a_server_cannot_be_an_authority(folder: Path, tmp_path: Path) -> None:
    """The holder of a server's key cannot make certificates that others would trust."""
    authority = Authority.at(folder)
    certificate, key = authority.issue("edge-0", ["edge-0"])
    own = x509.load_pem_x509_certificate(certificate)
    stolen = Authority(own, serialization.load_pem_private_key(key, None))  # type: ignore[arg-type]
    forged = x509.load_pem_x509_certificate(stolen.issue("root", ["root"])[0])
    verifier = PolicyBuilder().store(Store([authority.certificate])).build_server_verifier(x509.DNSName("root"))
    with pytest.raises(VerificationError):
        verifier.verify(forged, [own])
    issued = x509.load_pem_x509_certificate(authority.issue("root", ["root"])[0])
    assert verifier.verify(issued, [])[0] == issued


def test_certificates_are_for_servers_and_their_time(folder: Path) -> None:
    certificate = x509.load_pem_x509_certificate(Authority.at(folder).issue("edge-0", ["edge-0"])[0])
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]
    now = datetime.now(UTC)
    assert certificate.not_valid_before_utc < now - timedelta(hours=23)  # for clocks that are behind
    assert now + timedelta(days=DAYS - 1) < certificate.not_valid_after_utc <= now + timedelta(days=DAYS)


def test_an_authority_is_made_once(folder: Path) -> None:
    first, second = Authority.at(folder), Authority.at(folder)
    assert first.pem == second.pem == (folder / CERTIFICATE).read_bytes()
    for file in (CERTIFICATE, KEY):
        assert stat.S_IMODE((folder / file).stat().st_mode) == 0o600


@pytest.mark.parametrize("file", [CERTIFICATE, KEY])
@pytest.mark.parametrize("damage", ["missing", "torn", "empty"])
def test_a_torn_authority_is_refused_and_not_replaced(folder: Path, file: str, damage: str) -> None:
    whole = (folder / file).read_bytes()
    (folder / file).unlink()
    if damage != "missing":
        (folder / file).write_bytes(whole[: len(whole) // 2] if damage == "torn" else b"")
    left = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(SettingError, match=f"keys={folder}: cannot be read .*; restore it, or make all keys anew"):
        Authority.at(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == left


def test_a_key_of_another_kind_is_refused(folder: Path) -> None:
    foreign = rsa.generate_private_key(65537, 2048)
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / KEY).write_bytes(foreign.private_bytes(*encoding))
    with pytest.raises(SettingError, match="is not an elliptic-curve key"):
        Authority.at(folder)


def test_the_key_of_another_certificate_is_refused(folder: Path, tmp_path: Path) -> None:
    """Half of a restored backup: what it issues, nobody would trust."""
    Authority.at(tmp_path / "another")
    shutil.copy(tmp_path / "another" / KEY, folder / KEY)
    with pytest.raises(SettingError, match="make all keys anew"):
        Authority.at(folder)

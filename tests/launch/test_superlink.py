"""Ports on loopback, and waiting for a server to answer."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import fedphd.launch.runtimes.superlink
from fedphd.common.errors import FedPhDError
from fedphd.launch.deploy.authority import CERTIFICATE, Authority
from fedphd.launch.runtimes.superlink import await_health, free_ports


class Health(BaseHTTPRequestHandler):
    failures = 0

    def do_GET(self) -> None:
        refused = Health.failures > 0 or self.path != "/health"
        Health.failures -= 1
        self.send_response(503 if refused else 200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Stay quiet."""


@contextmanager
def server(failures: int = 0, certificate: Path | None = None) -> Iterator[str]:
    Health.failures = failures
    with HTTPServer(("127.0.0.1", 0), Health) as one:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            one.socket = context.wrap_socket(one.socket, server_side=True)
        thread = threading.Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{one.server_address[1]}"
        finally:
            one.shutdown()
            thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedphd.launch.runtimes.superlink, "START_TIMEOUT", 0.2)


def authority(folder: Path, host: str = "127.0.0.1") -> tuple[Path, Path]:
    """Make an authority, and a server's certificate with its key in one file."""
    one = Authority.at(folder)
    (folder / "server").write_bytes(b"".join(one.issue("root", [host])))
    return folder / CERTIFICATE, folder / "server"


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    assert free_ports(0) == []


def test_a_server_that_starts_is_waited_for() -> None:
    looks: list[None] = []
    with server(failures=2) as address:
        await_health(address, None, lambda: looks.append(None))
    assert len(looks) == 3


def test_a_server_is_checked_with_the_authoritys_certificate(tmp_path: Path) -> None:
    ca, certificate = authority(tmp_path)
    with server(certificate=certificate) as address:
        await_health(address, ca, lambda: None)


@pytest.mark.usefixtures("impatient")
def test_a_server_of_another_authority_or_another_name_is_not_ours(tmp_path: Path) -> None:
    ca, certificate = authority(tmp_path / "ours")
    another, _ = authority(tmp_path / "another")
    with server(certificate=certificate) as address, pytest.raises(FedPhDError, match="did not answer"):
        await_health(address, another, lambda: None)
    ca, certificate = authority(tmp_path / "ours", "10.1.2.3")
    with server(certificate=certificate) as address, pytest.raises(FedPhDError, match="did not answer"):
        await_health(address, ca, lambda: None)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_does_not_come_is_given_up() -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(FedPhDError, match=rf"the SuperLink at {address} did not answer within 0\.2 s"):
        await_health(address, None, lambda: None)


def test_waiting_in_vain_ends_at_once() -> None:
    def watch() -> None:
        raise FedPhDError("root-superlink ended with exit code 1")

    with pytest.raises(FedPhDError, match="ended with exit code 1"):
        await_health(f"127.0.0.1:{free_ports(1)[0]}", None, watch)

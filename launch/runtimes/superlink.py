"""Loopback addresses, and waiting for a SuperLink to answer."""

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from fedphd.common.errors import FedPhDError

START_TIMEOUT = 60.0  # seconds for a SuperLink to answer


def free_ports(number: int) -> list[int]:
    """Find so many free ports on loopback."""
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def await_health(address: str, root_certificates: Path | None, watch: Callable[[], None]) -> None:
    """Wait until the SuperLink at `address` answers.

    Parameters
    ----------
    address : str
        ``host:port``.
    root_certificates : Path or None
        Certificate authority; None: without TLS.
    watch : Callable[[], None]
        Called again and again; raises if waiting is in vain.

    Raises
    ------
    FedPhDError
        If it does not in time.
    """
    context = None if root_certificates is None else ssl.create_default_context(cafile=root_certificates)
    scheme = "http" if context is None else "https"
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        watch()
        try:
            with urlopen(f"{scheme}://{address}/health", timeout=2, context=context):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise FedPhDError(f"the SuperLink at {address} did not answer within {START_TIMEOUT:g} s")

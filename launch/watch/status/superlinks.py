"""What SuperLinks tell: their nodes and runs, asked all at the same time."""

import ssl
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from fedphd.common.flower.control import Control, ControlError
from fedphd.common.flower.home import FlowerHome
from fedphd.common.run.figures import one_line

HEALTH_TIMEOUT = 10.0  # seconds
AT_ONCE = 16  # SuperLinks


@dataclass(frozen=True)
class SuperLink:
    """A tier's SuperLink.

    Attributes
    ----------
    tier : str
        Whose it is.
    address : str
        ``host:port``.
    certificates : Path or None
        Certificate authority; None: without TLS.
    names : Mapping[str, str]
        Flower's node id of each name, since Flower does not list names.
    """

    tier: str
    address: str
    certificates: Path | None = None
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FlowerNode:
    """A node by Flower's account; times are seconds since the epoch, None for never."""

    id: str
    status: str
    online_at: float | None
    offline_at: float | None


@dataclass(frozen=True)
class FlowerRun:
    """A run by Flower's account.

    Attributes
    ----------
    id, app, status : str
        Flower's id, the app's name, and e.g. ``running`` or ``finished:completed``.
    began, ended : float or None
        When it was submitted and when it ended, seconds since the epoch.
    down, up : int
        Bytes to the nodes and from them.
    """

    id: str
    app: str
    status: str
    began: float | None
    ended: float | None
    down: int
    up: int


@dataclass(frozen=True)
class Answer:
    """What a SuperLink told: the error says why nothing; runs are the newest first."""

    error: str | None = None
    nodes: Sequence[FlowerNode] = ()
    runs: Sequence[FlowerRun] = ()


def ask_all(superlinks: Sequence[SuperLink]) -> list[Answer]:
    """Ask every SuperLink for its nodes and runs; one that cannot be reached has an answer that says so."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(ask, superlinks))


def ask(superlink: SuperLink) -> Answer:
    """Ask a SuperLink for its nodes and runs."""
    error = _unwell(superlink)
    if error is not None:
        return Answer(error)
    with tempfile.TemporaryDirectory(prefix="fedphd-") as folder:
        home = FlowerHome(Path(folder))
        home.connect_to(superlink.address, superlink.certificates)
        try:
            control = Control(home)
            return Answer(None, [_node(one) for one in control.nodes()], [_run(one) for one in control.runs()])
        except ControlError as refusal:
            last = [line for line in str(refusal).splitlines() if line.strip()][-1]  # Flower says what it does before
            return Answer(one_line(last))


def _unwell(superlink: SuperLink) -> str | None:
    """Say why a SuperLink does not answer; quicker, and in better words, than `flwr`."""
    if superlink.certificates is not None and not superlink.certificates.is_file():
        return f"{superlink.certificates}: no such file"
    try:
        if superlink.certificates is None:
            url, context = f"http://{superlink.address}/health", None
        else:
            url = f"https://{superlink.address}/health"
            context = ssl.create_default_context(cafile=superlink.certificates)
        with urlopen(url, timeout=HEALTH_TIMEOUT, context=context):
            return None
    except URLError as error:
        return one_line(_words(error.reason))
    except (OSError, ValueError, HTTPException) as error:
        return one_line(_words(error))


def _words(error: object) -> str:
    """Say an error plainly."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"no answer within {HEALTH_TIMEOUT:g} s"
    return str(getattr(error, "strerror", None) or error)


def _node(facts: Mapping[str, Any]) -> FlowerNode:
    return FlowerNode(
        str(facts["node-id"]), str(facts["status"]), _seconds(facts["online-at"]), _seconds(facts["offline-at"])
    )


def _run(facts: Mapping[str, Any]) -> FlowerRun:
    traffic = facts["network-traffic"]
    return FlowerRun(
        id=str(facts["run-id"]),
        app=str(facts["fab-name"]),
        status=str(facts["status"]),
        began=_seconds(facts["pending-at"]),
        ended=_seconds(facts["finished-at"]),
        down=int(traffic["outbound-bytes"]),
        up=int(traffic["inbound-bytes"]),
    )


def _seconds(moment: str) -> float | None:
    """Read Flower's time, e.g. ``2026-11-21 05:08:11Z``; ``N/A`` is none."""
    return None if moment == "N/A" else datetime.fromisoformat(moment).timestamp()

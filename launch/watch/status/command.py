"""Whom ``fedphd status`` asks, and how it prints the answers."""

import json
import os
import re
import time
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from fedphd.common.config.runtime import Deployment
from fedphd.common.errors import SettingError
from fedphd.common.run.run_folder import CONFIG, DEPLOYMENT_FACTS, LEDGER, RunFolder
from fedphd.launch.deploy.keys import CA, ROOT
from fedphd.launch.ending import UsageError
from fedphd.launch.terminal import open_console
from fedphd.launch.watch.status.picture import picture
from fedphd.launch.watch.status.standing import Standing, read_config
from fedphd.launch.watch.status.superlinks import SuperLink, ask_all
from fedphd.launch.watch.status.table import show

RUNS = Path("runs")  # where Hydra makes run folders
UNNAMED = "tier"  # whose SuperLink it is, if nobody says so
PIPE_WIDTH = 160  # columns, where there is no terminal


class Facts(BaseModel):
    """What `runtime=processes` writes into the run folder.

    Attributes
    ----------
    superlinks : dict[str, str]
        Address of each tier's SuperLink.
    certificates : str
        File of the certificate authority; empty: without TLS.
    nodes : dict[str, dict[str, str]]
        For each tier, Flower's node id of each name.
    """

    superlinks: dict[str, str]
    certificates: str
    nodes: dict[str, dict[str, str]]


def print_status(given: Namespace) -> None:
    """Print where a deployment stands, as tables or as JSON (launch/watch/status/schema.py says what is in it).

    Parameters
    ----------
    given : Namespace
        The arguments of launch/commands/status.py.

    Raises
    ------
    UsageError
        If it is not known whom to ask.
    SettingError
        If a file that is named cannot be read, or something else that is given cannot be used. A SuperLink that cannot
        be reached is no error: it is shown.
    """
    run_dir = _run_dir(given)
    superlinks = _superlinks(given, run_dir)
    if run_dir is None and not superlinks:
        raise UsageError(f"there is no run folder in ./{RUNS}; name one, or --superlink HOST:PORT")
    answers = ask_all(superlinks)
    status = picture(Standing.read(run_dir) if run_dir else None, superlinks, answers, time.time())
    if given.json:
        print(json.dumps(asdict(status), indent=2))
    else:
        show(status, open_console(PIPE_WIDTH))


def _run_dir(given: Namespace) -> Path | None:
    """Find the run folder; an edge has none of its own."""
    if given.run_dir is not None:
        path = Path(given.run_dir).expanduser().absolute()
        if not RunFolder(path).begun:
            raise SettingError("RUN_DIR", given.run_dir, f"is not a run folder: it has no {CONFIG}")
        return path
    if given.tier not in (None, ROOT):
        return None
    runs = Path(os.environ.get("FEDPHD_RUNS") or RUNS)
    folders = [path for path in runs.glob("*") if RunFolder(path).begun]
    return max(folders, key=_changed).absolute() if folders else None


def _changed(run_dir: Path) -> float:
    files = [run_dir / name for name in (CONFIG, LEDGER, DEPLOYMENT_FACTS)]
    return max(file.stat().st_mtime for file in files if file.exists())


def _superlinks(given: Namespace, run_dir: Path | None) -> list[SuperLink]:
    """Name whom to ask: the SuperLink that is given, or those that the run folder names."""
    if given.superlink is not None:
        tier = given.tier or (ROOT if run_dir else UNNAMED)
        return [SuperLink(tier, _address(given.superlink), _certificates(given), _names(given.nodes))]
    if run_dir is None:
        return []
    if (run_dir / DEPLOYMENT_FACTS).exists():
        return _of_facts(run_dir / DEPLOYMENT_FACTS, given.tier)
    config = read_config(run_dir)
    runtime = None if config is None else config.runtime
    if not isinstance(runtime, Deployment) or runtime.superlink is None or given.tier not in (None, ROOT):
        return []
    certificates = runtime.root_certificates if runtime.secure else None
    return [SuperLink(ROOT, runtime.superlink, certificates, _names(given.nodes))]


def _of_facts(file: Path, tier: str | None) -> list[SuperLink]:
    try:
        facts = Facts.model_validate_json(file.read_bytes())
    except ValidationError:
        raise SettingError(
            "RUN_DIR", file.parent, f"{DEPLOYMENT_FACTS} cannot be read; name the SuperLink instead"
        ) from None
    if tier is not None and tier not in facts.superlinks:
        raise SettingError("--tier", tier, f"use one of {', '.join(facts.superlinks)}")
    certificates = Path(facts.certificates) if facts.certificates else None
    return [
        SuperLink(name, address, certificates, facts.nodes.get(name, {}))
        for name, address in facts.superlinks.items()
        if tier in (None, name)
    ]


def _address(text: str) -> str:
    if not re.fullmatch(r"[^\s/]+:\d{1,5}", text):
        raise SettingError("--superlink", text, "use HOST:PORT")
    return text


def _certificates(given: Namespace) -> Path | None:
    if given.insecure:
        return None
    file: Path | None = given.root_certificates
    if file is None or not file.is_file():
        advice = f"needs the file {CA} of the deployment's keys; or, without TLS, --insecure"
        raise SettingError("--root-certificates", file, advice)
    return file.absolute()


def _names(file: Path | None) -> Mapping[str, str]:
    if file is None:
        return {}
    try:
        return TypeAdapter(dict[str, str]).validate_json(file.read_bytes())
    except (OSError, ValidationError):
        raise SettingError("--nodes", file, "needs the file that `fedphd register --nodes FILE` writes") from None

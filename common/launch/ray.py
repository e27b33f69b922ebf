"""The `ray` runtime: Flower's Ray simulation on this machine.

A SuperLink in simulation mode runs on a free loopback port, the run is submitted to it as `flwr run`
does, and it ends with the run. Progress is read from the run folder.
"""

import tempfile
import time
from pathlib import Path

from common.config import Config, to_run_config
from common.errors import FedPhDError
from common.launch.flower import SuperLink, flower_home
from common.ledger import read_lines

LEDGER_POLL = 0.5  # seconds
STATUS_EVERY = 20.0  # seconds between looks at Flower's own status, which costs a process each time
ENDED = "finished"  # Flower's statuses of a run that is over begin so


def run(config: Config, run_dir: Path) -> None:
    """Train in Ray; return when the run has finished.

    Raises
    ------
    FedPhDError
        If Flower or the run fails; the details are in ``flower.log`` in the run folder.
    """
    with tempfile.TemporaryDirectory(prefix="fedphd-") as folder:
        home = flower_home(Path(folder))
        with SuperLink(home, ["--simulation"], run_dir / "flower.log") as superlink:
            already = len(_endings(run_dir))
            run_id = superlink.submit(
                app=home.thin_app(serverapp="server.app:app", clientapp="client.app:app"),
                run_config=to_run_config(config, run_dir),
                federation_config=_resources(config),
            )
            _wait(run_dir, already, superlink, run_id)


def _resources(config: Config) -> dict[str, int | float]:
    runtime = config.runtime
    return {
        "num-supernodes": config.topology.clients,
        "client-resources-num-cpus": 1,
        "client-resources-num-gpus": runtime.gpus_per_client,
        "init-args-num-cpus": runtime.parallel_clients,
    }


def _endings(run_dir: Path) -> list[dict[str, object]]:
    return [entry for entry in read_lines(run_dir / "ledger.jsonl") if entry["event"] in ("finish", "fail")]


def _wait(run_dir: Path, already: int, superlink: SuperLink, run_id: str) -> None:
    """Wait for the ledger to tell the end; ask Flower now and then whether the run still lives."""
    asked = time.monotonic()
    while True:
        time.sleep(LEDGER_POLL)
        endings = _endings(run_dir)[already:]
        if endings:
            break
        superlink.check_alive()
        if time.monotonic() - asked > STATUS_EVERY:
            asked = time.monotonic()
            status = superlink.status(run_id)
            if status.startswith(ENDED) and not _endings(run_dir)[already:]:
                raise FedPhDError(f"Flower ended the run ({status}) before it was done; see {run_dir / 'flower.log'}")
    if endings[0]["event"] == "fail":
        raise FedPhDError(f"the run failed: {endings[0]['reason']}")
    superlink.wait_until_ended(run_id)

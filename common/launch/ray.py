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
from common.ledger import Entry, Tail

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
            ledger = Tail(run_dir / "ledger.jsonl")
            _ending(ledger)  # a resumed run's ledger tells of earlier endings
            run_id = superlink.submit(
                app=home.thin_app(serverapp="server.app:app", clientapp="client.app:app"),
                run_config=to_run_config(config, run_dir),
                federation_config=_resources(config),
            )
            _wait(ledger, superlink, run_id)


def _resources(config: Config) -> dict[str, int | float]:
    runtime = config.runtime
    return {
        "num-supernodes": config.topology.clients,
        "client-resources-num-cpus": 1,
        "client-resources-num-gpus": runtime.gpus_per_client,
        "init-args-num-cpus": runtime.parallel_clients,
    }


def _ending(ledger: Tail) -> Entry | None:
    """Read on in the ledger; give the event with which the run ended, if it has."""
    return next((entry for entry in list(ledger.read()) if entry["event"] in ("finish", "fail")), None)


def _wait(ledger: Tail, superlink: SuperLink, run_id: str) -> None:
    """Wait for the ledger to tell the end; ask Flower now and then whether the run still lives."""
    asked = time.monotonic()
    while (ending := _ending(ledger)) is None:
        superlink.check_alive()
        time.sleep(LEDGER_POLL)
        if time.monotonic() - asked > STATUS_EVERY:
            asked = time.monotonic()
            status = superlink.status(run_id)
            if status.startswith(ENDED):
                ending = _ending(ledger)  # it may have been written while Flower was asked
                if ending is None:
                    raise FedPhDError(f"Flower ended the run ({status}) before it was done; see {superlink.log}")
                break
    if ending["event"] == "fail":
        raise FedPhDError(f"the run failed: {ending['reason']}")
    superlink.wait_until_ended(run_id)

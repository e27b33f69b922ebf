"""The `ray` runtime: Flower's Ray simulation on this machine.

A SuperLink in simulation mode runs on a free loopback port, the run is submitted to it as `flwr run`
does, and it ends with the run. Progress is read from the run folder.
"""

import tempfile
from pathlib import Path

from fedphd.common.config import Config, to_run_config
from fedphd.common.config.runtime import Ray
from fedphd.common.errors import FedPhDError
from fedphd.common.flower.control import Control
from fedphd.common.flower.home import FlowerHome
from fedphd.launch.runtimes.following import Follower, RunLostError
from fedphd.launch.runtimes.superlink import await_health, free_ports
from fedphd.launch.runtimes.supervisor import Program, Supervisor

SUPERLINK = "flower"


def run(config: Config, run_dir: Path) -> None:
    """Train in Ray; return when the run has finished.

    Raises
    ------
    FedPhDError
        If Flower or the run fails; the details are in ``flower.log`` in the run folder.
    """
    with tempfile.TemporaryDirectory(prefix="fedphd-") as folder, Supervisor(Path(folder), run_dir) as supervisor:
        address = f"127.0.0.1:{free_ports(1)[0]}"
        host, port = address.split(":")
        command = ["flower-superlink", "--simulation", "--insecure", "--host", host, "--port", port]
        supervisor.start(Program(SUPERLINK, command, restart=False))
        await_health(address, None, supervisor.watch)
        home = FlowerHome(Path(folder) / "home")
        home.connect_to(address)
        control, run_config, follower = Control(home), to_run_config(config, run_dir), Follower(run_dir)
        app = home.thin_app("fedphd-simulation", "fedphd.server.simulation:app", "fedphd.client.app:app", run_config)
        run_id = control.submit(app, run_config, _resources(config))
        try:
            follower.wait(control, run_id, supervisor.watch)
        except RunLostError as error:
            raise FedPhDError(f"{error}; see {supervisor.log(SUPERLINK)}") from None


def _resources(config: Config) -> dict[str, int | float]:
    runtime = Ray.narrow(config.runtime, "runtime")
    return {
        "num-supernodes": config.topology.clients,
        "client-resources-num-cpus": 1,
        "client-resources-num-gpus": runtime.gpus_per_client,
        "init-args-num-cpus": runtime.parallel_clients,
    }

"""The `deployment` runtime: submit the run to a root SuperLink that is there, and follow it to its end."""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

from fedphd.common.config import Config, to_run_config
from fedphd.common.config.runtime import Deployment
from fedphd.common.errors import SettingError
from fedphd.common.flower.control import Control
from fedphd.common.flower.home import FlowerHome
from fedphd.common.run.run_folder import RunFolder
from fedphd.launch.runtimes.following import Follower, RunLostError

ATTEMPTS = 3  # times that a run is submitted again without having come further

log = logging.getLogger(__name__)


def run(config: Config, run_dir: Path) -> None:
    """Train on the deployment whose root SuperLink is at `runtime.superlink`.

    The run folder must be on a disk that this process shares with the root's SuperExec.

    Raises
    ------
    SettingError
        If the settings do not say how to reach the SuperLink.
    FedPhDError
        If it cannot be reached or the run fails.
    """
    superlink, certificates = address(Deployment.narrow(config.runtime, "runtime"))
    with tempfile.TemporaryDirectory(prefix="fedphd-") as folder:
        home = FlowerHome(Path(folder))
        home.connect_to(superlink, certificates)
        submit_and_follow(home, config, run_dir)


def address(runtime: Deployment) -> tuple[str, Path | None]:
    """Give the root SuperLink's address, and the certificates to trust; none without TLS.

    Raises
    ------
    SettingError
        If the settings do not say.
    """
    if runtime.superlink is None:
        raise SettingError("runtime.superlink", None, "needs host:port of the root's SuperLink")
    if runtime.insecure:
        return runtime.superlink, None
    if runtime.root_certificates is None or not runtime.root_certificates.is_file():
        advice = "needs the file ca.pem of the deployment's keys; or, without TLS, runtime.insecure=true"
        raise SettingError("runtime.root_certificates", runtime.root_certificates, advice)
    return runtime.superlink, runtime.root_certificates


def submit_and_follow(home: FlowerHome, config: Config, run_dir: Path, watch: Callable[[], None] = lambda: None) -> str:
    """Submit a run and wait for its end; if its ServerApp is lost, submit it again from its newest checkpoint.

    Parameters
    ----------
    home : FlowerHome
        Connects to the root's SuperLink.
    config : Config
        The run's configuration.
    run_dir : Path
        The run folder.
    watch : Callable[[], None], optional
        Called again and again while waiting; raises if waiting is in vain.

    Returns
    -------
    str
        Flower's id of the run, the last one if there were several.

    Raises
    ------
    FedPhDError
        If the run fails, or is lost again and again.
    """
    control, attempts, newest = Control(home), 0, _newest_checkpoint(run_dir)
    while True:
        run_config, follower = to_run_config(config, run_dir), Follower(run_dir)
        run_id = control.submit(_root_app(home, config, run_config), run_config)
        try:
            follower.wait(control, run_id, watch)
        except RunLostError as error:
            attempts = attempts + 1 if _newest_checkpoint(run_dir) == newest else 1
            newest = _newest_checkpoint(run_dir)
            if attempts == ATTEMPTS:
                raise
            log.warning("%s; submitting it again", error)
            if newest is not None:
                checkpoint = config.checkpoint.model_copy(update={"resume": run_dir})
                config = config.model_copy(update={"checkpoint": checkpoint})
        else:
            return run_id


def _newest_checkpoint(run_dir: Path) -> int | None:
    return max(RunFolder(run_dir).checkpoint_rounds(), default=None)


def _root_app(home: FlowerHome, config: Config, run_config: dict[str, str]) -> Path:
    """Write the root's thin app; the nodes of a flat topology's root are the clients themselves."""
    if config.topology.edges == 0:
        return home.thin_app("fedphd-flat", "fedphd.server.simulation:app", "fedphd.client.app:app", run_config)
    return home.thin_app("fedphd-root", "fedphd.server.app:app", "fedphd.edge.gateway:app", run_config)

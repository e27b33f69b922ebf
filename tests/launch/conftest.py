"""What several tests of the command share."""

from pathlib import Path

import pytest
from compared_runs import PROXIMAL, write_run

from fedphd.launch.compare.comparison import Comparison, compare


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `fedphd -m method=fedavg,fedprox seed=0,1` leaves it; the fourth run was killed."""
    folder = tmp_path_factory.mktemp("runs") / "sweep"
    write_run(folder / "0_fedavg_seed0", factor=0.5, seed=0)
    write_run(folder / "1_fedavg_seed1", factor=0.25, seed=1)
    write_run(folder / "2_fedprox_seed0", factor=0.4, seed=0, method="fedprox", objective__terms=PROXIMAL)
    write_run(folder / "10_fedprox_seed1", rounds=3, seed=1, method="fedprox", objective__terms=PROXIMAL)
    return folder


@pytest.fixture(scope="session")
def comparison(sweep: Path) -> Comparison:
    return compare([sweep])

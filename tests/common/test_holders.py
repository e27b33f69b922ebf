"""Every client brings its own images: whose are where, and a whole small run on them."""

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, RecordDict
from helpers import small_config
from PIL import Image

from fedphd.client.local_data import local_data
from fedphd.client.place import Place
from fedphd.common.config import Config, compose, to_run_config
from fedphd.common.data.holders import holder_data
from fedphd.common.errors import SettingError
from fedphd.common.flower.private import assume_task_identity
from fedphd.common.run.json_lines import read_lines
from fedphd.launch.preflight import check
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.simulation import simulate


def write_images(folder: Path, **classes: int) -> None:
    """Write so many images of each class, some classes perhaps without any."""
    rng = np.random.default_rng(len(str(folder)))
    for name, number in classes.items():
        (folder / name).mkdir(parents=True)
        for index in range(number):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(folder / name / f"{index}.png")


@pytest.fixture
def holders(tmp_path: Path) -> Path:
    """The root has six reference images; client-0 only cats, client-1 both, more of them."""
    write_images(tmp_path / "holders" / "root", cat=3, dog=3)
    write_images(tmp_path / "holders" / "client-0", cat=4, dog=0)
    write_images(tmp_path / "holders" / "client-1", cat=2, dog=5)
    return tmp_path / "holders"


def own_config(path: Path, *overrides: str) -> Config:
    unet = "{sample_size: 8, in_channels: 3, out_channels: 3}"
    size = ["topology.clients=2", "topology.edges=1", "rounds=1", "sampler.steps=2", "topology.edge_rounds=1"]
    data = ["data=folder", f"data.path={path}", "data.size=8", f"+model.unet={unet}", "evaluation.grid_images=4"]
    return small_config("partition=own", *data, *size, *overrides)


def context(config: Config, run_dir: Path, index: int, **node_config: str | int) -> Context:
    assume_task_identity()
    facts = {"partition-id": index, **node_config}
    return Context(1, index, facts, RecordDict(), dict(to_run_config(config, run_dir)))


def test_each_holder_has_its_own_path(holders: Path, tmp_path: Path) -> None:
    config = own_config(holders)
    assert holder_data(config, "root").path == holders / "root"
    assert holder_data(config, "client-1").path == holders / "client-1"
    arrays = compose(["partition=own", "data=npz", f"data.path={holders}"])
    assert holder_data(arrays, "client-1").path == holders / "client-1.npz"
    shared = compose(["partition=iid", "data=npz", f"data.path={holders}/all.npz"])
    assert holder_data(shared, "client-1") == shared.data


def test_a_client_has_all_images_of_its_own_and_knows_all_classes(holders: Path, tmp_path: Path) -> None:
    config = own_config(holders, "data.holdout=0")
    counts = []
    for index in (0, 1):
        place = Place.of(context(config, tmp_path / "run", index))
        data = local_data(place.config, index)
        assert data.classes == ("cat", "dog")
        counts.append(data.counts.tolist())
    assert counts == [[4, 0], [2, 5]]


def test_a_deployed_client_keeps_its_images_where_it_likes(holders: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "elsewhere", cat=1, dog=8)
    node = {"state-dir": str(tmp_path / "state"), "data-path": str(tmp_path / "elsewhere")}
    config = own_config(Path("/nowhere/on/this/machine"), "data.holdout=0")
    place = Place.of(context(config, tmp_path / "run", 1, **node))
    assert local_data(place.config, 1).counts.tolist() == [1, 8]


def test_a_run_on_images_of_their_own(holders: Path, tmp_path: Path) -> None:
    config = own_config(holders, "data.holdout=0")
    assert check(config) == []
    simulate(in_process_grid(config, tmp_path / "run"), config, tmp_path / "run")
    (aggregate,) = [entry for entry in read_lines(tmp_path / "run" / "ledger.jsonl") if entry["event"] == "aggregate"]
    assert aggregate["samples"] == 4 + 7


def test_a_client_without_images_is_told_before_the_start(holders: Path) -> None:
    with pytest.raises(SettingError, match="client-2: no such file or folder"):
        check(own_config(holders, "topology.clients=3"))


def test_embedded_images_are_nobodys_own() -> None:
    with pytest.raises(SettingError, match="needs images of each client's own: data=folder or npz, not digits"):
        compose(["partition=own"])

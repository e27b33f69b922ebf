"""Every client brings its own images: whose are where, and a whole small run on them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, RecordDict
from helpers import small_config
from PIL import Image

from fedphd.client.local_data import local_data
from fedphd.client.place import Place
from fedphd.client.registration import answer_to_roll_call
from fedphd.common.config import Config, compose, to_run_config
from fedphd.common.data.holders import holder_data
from fedphd.common.errors import RegistrationError, SettingError
from fedphd.common.flower.private import assume_task_identity
from fedphd.common.run.json_lines import read_lines
from fedphd.common.wire.messages import Unable
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
    write_images(tmp_path / "holders" / "client-0", cat=4)
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


def test_a_client_trains_on_all_images_of_its_own(holders: Path, tmp_path: Path) -> None:
    """... whatever share the root holds out of its own set."""
    config = own_config(holders, "data.holdout=0.5")
    places = [Place.of(context(config, tmp_path / "run", index)) for index in (0, 1)]
    own = [local_data(place.config, place.index) for place in places]
    assert [(data.classes, data.counts.tolist()) for data in own] == [(("cat",), [4]), (("cat", "dog"), [2, 5])]
    assert holder_data(config, "root").holdout == 0.5


def test_listed_classes_are_every_clients(holders: Path, tmp_path: Path) -> None:
    config = own_config(holders, "data.classes=[dog,cat,bird]")
    for index, counts in enumerate([[0, 4, 0], [5, 2, 0]]):
        place = Place.of(context(config, tmp_path / "run", index))
        data = local_data(place.config, index)
        assert (data.classes, data.counts.tolist()) == (("dog", "cat", "bird"), counts)


def test_an_image_of_a_class_that_is_not_listed_names_its_holder(holders: Path) -> None:
    told = r"^data.classes=\[cat,bird\]: client-1 has 5 images of class dog; add it, or remove its images$"
    shutil.rmtree(holders / "root" / "dog")
    with pytest.raises(SettingError, match=told):
        check(own_config(holders, "data.classes=[cat,bird]"))


@pytest.mark.parametrize("classes", ["[]", "[cat,cat]", "['']", "cat"])
def test_classes_that_are_no_list_of_names(holders: Path, classes: str) -> None:
    with pytest.raises(SettingError, match=r"^data.classes"):
        own_config(holders, f"data.classes={classes}")


def test_noise_needs_the_list_of_classes(holders: Path) -> None:
    """An absent name would tell what the noise is to hide."""
    told = r"^privacy.histogram_epsilon=1.0: hides nothing while .*; give all of them by data.classes$"
    with pytest.raises(SettingError, match=told):
        own_config(holders, "privacy.histogram_epsilon=1.0")
    own_config(holders, "privacy.histogram_epsilon=1.0", "data.classes=[cat,dog]")


def test_a_deployed_client_keeps_its_images_where_it_likes(holders: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "elsewhere", cat=1, dog=8)
    node = {"state-dir": str(tmp_path / "state"), "data-path": str(tmp_path / "elsewhere")}
    config = own_config(Path("/nowhere/on/this/machine"), "data.holdout=0")
    place = Place.of(context(config, tmp_path / "run", 1, **node))
    assert local_data(place.config, 1).counts.tolist() == [1, 8]


@pytest.mark.parametrize("edges", [0, 1, 2])
def test_a_run_on_images_of_their_own(holders: Path, tmp_path: Path, edges: int) -> None:
    """client-0 has no dogs and no folder for them: labels agree by name, at the edges and at the root."""
    homes = {0: "topology=flat", 1: "topology.homes=null", 2: "topology.homes=[[0],[1]]"}[edges]
    config = own_config(holders, f"topology.edges={edges}", homes, "assignment=homogeneity", "weighting=homogeneity")
    simulate(in_process_grid(config, tmp_path / "run"), config, tmp_path / "run")
    ledger = list(read_lines(tmp_path / "run" / "ledger.jsonl"))
    assert sum(entry["samples"] for entry in ledger if entry["event"] == "aggregate") == 4 + 7
    partition = json.loads((tmp_path / "run" / "partition.json").read_text())
    assert partition["class_names"] == ["cat", "dog"]
    assert [one["counts"] for one in partition["clients"].values()] == [[4.0, 0.0], [2.0, 5.0]]
    [commit] = [entry for entry in ledger if entry["event"] == "commit"]
    alone = {"edge-0": 2 - np.sqrt(0.5), "edge-1": 2 - np.sqrt(2) * (5 / 7 - 0.5)}  # q = (1, 0) and (2/7, 5/7)
    together = 2 - np.sqrt(2) * (6 / 11 - 0.5)  # q = (6/11, 5/11)
    for edge, value in commit["homogeneity"].items():
        assert value == pytest.approx(alone[edge] if edges == 2 else together, abs=1e-5)


def test_a_client_whose_images_cannot_be_used_ends_the_run_with_its_line(holders: Path, tmp_path: Path) -> None:
    config = own_config(holders)
    (holders / "client-1" / "dog" / "2.png").write_bytes(b"no image")
    with pytest.raises(RegistrationError, match=r"^client-1 cannot take part: data.path=.*2.png: cannot be read"):
        simulate(in_process_grid(config, tmp_path / "run"), config, tmp_path / "run")
    last = list(read_lines(tmp_path / "run" / "ledger.jsonl"))[-1]
    assert (last["event"], last["reason"][:25]) == ("fail", "client-1 cannot take part")


def test_the_line_of_a_deployed_client_hides_where_its_images_are(holders: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "secret" / "place", cat=2)
    (tmp_path / "secret" / "place" / "cat" / "1.png").write_bytes(b"")
    node = {"state-dir": str(tmp_path / "state"), "data-path": str(tmp_path / "secret" / "place")}
    answer = answer_to_roll_call(Place.of(context(own_config(holders), tmp_path / "run", 1, **node)))
    assert isinstance(answer, Unable)
    assert answer.client == "client-1"
    assert answer.reason.startswith("data.path=DATA-PATH/cat/1.png: cannot be read")
    assert "secret" not in answer.reason


def test_a_deployed_clients_images_that_are_missing_or_do_not_fit(holders: Path, tmp_path: Path) -> None:
    for path, channels, told in (
        (tmp_path / "nowhere", 3, "data.path=DATA-PATH: no such file or folder"),
        (holders / "client-0", 1, "model=digits8: expects 1x8x8 (CxHxW), the images are 3x8x8"),
    ):
        unet = f"+model.unet={{sample_size: 8, in_channels: {channels}, out_channels: {channels}}}"
        config = own_config(holders, unet)
        node = {"state-dir": str(tmp_path / "state"), "data-path": str(path)}
        answer = answer_to_roll_call(Place.of(context(config, tmp_path / "run", 1, **node)))
        assert isinstance(answer, Unable)
        assert answer.reason.startswith(told)


def test_a_client_without_images_is_told_before_the_start(holders: Path) -> None:
    with pytest.raises(SettingError, match="client-2: no such file or folder"):
        check(own_config(holders, "topology.clients=3"))


def test_embedded_images_are_nobodys_own() -> None:
    with pytest.raises(SettingError, match="needs images of each client's own: data=folder or npz, not digits"):
        compose(["partition=own"])

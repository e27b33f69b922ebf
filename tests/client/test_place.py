"""Where a client is: in the run folder of a simulation, or on a machine of its own."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, RecordDict
from helpers import small_config

import fedphd.client.place
from fedphd.client.local_data import local_data
from fedphd.client.place import Place
from fedphd.common.config import Config, compose, to_run_config
from fedphd.common.config.load import RUN_ID_KEY


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedphd.client.place, "log_to", lambda _file: None)  # it would change the logging of all tests


def context(run_dir: Path, config: Config | None = None, **facts: str | int) -> Context:
    node_config = {key.replace("_", "-"): value for key, value in facts.items()}
    run_config = to_run_config(config or small_config(), run_dir)
    return Context(run_id=5, node_id=7, node_config=node_config, state=RecordDict(), run_config=run_config)


def test_in_a_simulation_clients_live_in_the_run_folder(tmp_path: Path) -> None:
    place = Place.of(context(tmp_path / "run", partition_id=2, num_partitions=4))
    assert (place.name, place.index) == ("client-2", 2)
    assert place.folder == tmp_path / "run" / "clients" / "client-2"
    assert place.latents == place.folder / "latents"
    assert place.config == small_config()
    assert place.turns is None
    with place.training(), place.training():  # Ray sees to who trains
        pass
    assert not place.folder.exists()


def test_a_client_with_a_disk_of_its_own_keeps_one_folder_for_each_run(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    first = context(tmp_path / "a" / "run", partition_id=2, state_dir=state)
    second = context(tmp_path / "b" / "run", partition_id=2, state_dir=state)
    places = [Place.of(one) for one in (first, second)]
    assert [place.folder for place in places] == [
        tmp_path / "state" / str(one.run_config[RUN_ID_KEY]) for one in (first, second)
    ]
    assert places[0].folder != places[1].folder
    assert places[0].latents == places[1].latents == tmp_path / "state" / "latents"  # these outlive a run
    resumed = small_config(f"checkpoint.resume={tmp_path / 'a' / 'run'}")
    again = Place.of(context(tmp_path / "a" / "run", resumed, partition_id=2, state_dir=state))
    assert again.folder == places[0].folder


def test_all_homes_of_a_client_share_its_disk(tmp_path: Path) -> None:
    facts = {"partition_id": 2, "state_dir": str(tmp_path / "state")}
    at_one, at_another = (Place.of(context(tmp_path / "run", **facts)) for _ in range(2))
    assert at_one == at_another


@pytest.mark.parametrize(
    ("facts", "turns"),
    [
        ({}, ("state/turns", 1)),
        ({"turns": 3}, ("state/turns", 3)),
        ({"turns_dir": "shared", "turns": 2}, ("shared", 2)),
    ],
)
def test_clients_of_a_machine_take_turns(tmp_path: Path, facts: dict[str, str | int], turns: tuple[str, int]) -> None:
    facts = {key: str(tmp_path / value) if isinstance(value, str) else value for key, value in facts.items()}
    place = Place.of(context(tmp_path / "run", partition_id=0, state_dir=str(tmp_path / "state"), **facts))
    assert place.turns == (tmp_path / turns[0], turns[1])


def test_training_holds_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[Path, int]] = []

    @contextmanager
    def turn(folder: Path, turns: int):
        held.append((folder, turns))
        yield
        held.append((folder, 0))

    monkeypatch.setattr(fedphd.client.place, "turn", turn)
    place = Place.of(context(tmp_path / "run", partition_id=0, state_dir=str(tmp_path / "state"), turns=2))
    with place.training():
        assert held == [(tmp_path / "state" / "turns", 2)]
    assert len(held) == 2


@pytest.mark.parametrize(
    ("data", "key"), [("npz", "path"), ("folder", "path"), ("cifar10", "root"), ("celeba", "root")]
)
def test_a_client_reads_its_images_from_its_own_path(tmp_path: Path, data: str, key: str) -> None:
    roots, own = tmp_path / "roots", tmp_path / "own"
    roots.mkdir()
    size = ["data.size=32"] if data == "folder" else []
    config = compose([f"data={data}", f"data.{key}={roots}", *size])
    place = Place.of(context(tmp_path / "run", config, partition_id=0, data_path=str(own)))
    assert getattr(place.config.data, key) == own
    assert place.config.model_copy(update={"data": config.data}) == config  # and nothing else is changed
    without = Place.of(context(tmp_path / "run", config, partition_id=0))
    assert getattr(without.config.data, key) == roots


def test_images_that_come_with_a_library_are_the_same_everywhere(tmp_path: Path) -> None:
    place = Place.of(context(tmp_path / "run", partition_id=0, data_path=str(tmp_path)))
    assert place.config.data == small_config().data


def archive(path: Path, value: int) -> Path:
    np.savez(path, train_x=np.full((40, 8, 8), value, np.uint8), train_y=np.arange(40) % 4)
    return path


def test_a_client_trains_on_what_is_at_its_own_path(tmp_path: Path) -> None:
    """The path decides, not what another client of the same process read before."""
    config = small_config("data=npz", f"data.path={archive(tmp_path / 'roots.npz', 1)}")
    own = str(archive(tmp_path / "own.npz", 2))
    for path, value in (("", 1), (own, 2)):
        place = Place.of(context(tmp_path / "run", config, partition_id=0, data_path=path))
        assert set(local_data(place.config, place.index).images.ravel().tolist()) == {value}


def test_on_a_clients_machine_there_need_be_nothing_at_the_roots_path(tmp_path: Path) -> None:
    elsewhere = archive(tmp_path / "roots.npz", 1)
    config = small_config("data=npz", f"data.path={elsewhere}")
    own = archive(tmp_path / "own.npz", 2)
    elsewhere.unlink()
    place = Place.of(context(tmp_path / "run", config, partition_id=0, data_path=str(own)))
    assert set(local_data(place.config, place.index).images.ravel().tolist()) == {2}

"""What the root writes down: each round once, with what its method has to show."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord
from helpers import events, packed, small_config
from PIL import Image

from fedphd.client.local_data import local_data
from fedphd.common.data.images import Pixels
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import pack
from fedphd.common.run.json_lines import read_lines
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.links import Reference
from fedphd.common.wire.messages import Assessment, Distances, Drawing
from fedphd.common.wire.traffic import Traffic
from fedphd.server import checkpoint
from fedphd.server.evaluation.grid import save_grid
from fedphd.server.evaluation.nearest_images import are_roots_own, show_nearest
from fedphd.server.pruning_schedule import PruningSchedule
from fedphd.server.recorder import Recorder
from fedphd.server.state import GlobalState, RoundSummary

START = pack(build_unet(small_config().model, 0).state_dict())
QUICK = ["sampler.steps=1", "evaluation.grid_images=4"]


class Site:
    """A recorder, and the clients' drawings that it asks for."""

    def __init__(self, folder: Path, *overrides: str, state: GlobalState | None = None) -> None:
        self.config = small_config(*QUICK, *overrides)
        self.folder, self.ledger = folder, Ledger(folder / "ledger.jsonl")
        self.state = state or GlobalState(0, START)
        self.asked: list[tuple[int, int]] = []
        self.assessed: list[tuple[int, int, tuple[int, ...] | None]] = []
        schedule = PruningSchedule(self.config, self.ledger)
        self.recorder = Recorder(
            self.config, self.state, schedule, self.ledger, folder, self.drawings, self.assessments
        )

    def drawings(self, images: int) -> Iterator[Drawing]:
        self.asked.append((self.state.round, images))
        for client in ("client-0", "client-2"):
            yield Drawing(client, np.zeros((images, 1, 8, 8), np.uint8), True)

    def assessments(self, images: int, generated: Pixels | None) -> Iterator[Assessment]:
        self.assessed.append((self.state.round, images, None if generated is None else generated.shape))
        near = [0.2] * 3
        distances = Distances([0.1] * images, [1.0] * images, [0.3] * images, near, near, near) if images else None
        for client, loss in (("client-0", 0.2), ("client-2", 0.4)):
            yield Assessment(client, 3, [loss] * 10, [0.1] * 10, distances)

    def commit(self) -> dict[str, object]:
        self.state.round += 1
        return self.recorder.record()

    @property
    def lines(self) -> list[dict[str, object]]:
        return list(read_lines(self.folder / "metrics.jsonl"))


def test_each_round_is_written_down_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    first = site.recorder.record()
    assert (first["round"], site.recorder.record(), site.recorder(0, ArrayRecord())) == (0, {}, {})
    site.commit()
    assert [line["round"] for line in site.lines] == [0, 1]
    assert [event["round"] for event in events(site.ledger, "checkpoint")] == [0, 1]
    assert checkpoint.load(tmp_path / "checkpoints").round == 1


def test_a_resumed_run_does_not_repeat_the_round_that_it_goes_on_from(tmp_path: Path) -> None:
    before = Site(tmp_path)
    before.recorder.record()
    before.commit()
    site = Site(tmp_path, state=checkpoint.load(tmp_path / "checkpoints"))
    assert site.recorder.record() == {}
    assert site.commit()["round"] == 2
    assert [line["round"] for line in site.lines] == [0, 1, 2]


@pytest.mark.parametrize("exchange", ["full", "udec"])
def test_a_measurement_that_fails_loses_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: str
) -> None:
    """The last round is kept, measured by the resumed run, and told as it would have been."""
    (tmp_path / "picky.py").write_text(
        "def few(clouds):\n    n = len(clouds.generated)\n    return {'few': float('nan') if n == 8 else n}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    quick = ["evaluation.images=5", "evaluation.classifier_epochs=1", "data.limit=40", "rounds=2", "checkpoint.every=9"]
    measured = ["evaluation=fd_classifier", *quick, f"exchange={exchange}", "evaluation.measures=['picky:few']"]
    site = Site(tmp_path, *measured, "evaluation.final_images=8")
    site.recorder.record()
    site.commit()
    site.state.latest = RoundSummary(0.25, 3, 120, 8, 480)
    with pytest.raises(SettingError, match="few=nan"):
        site.commit()
    assert [line["round"] for line in site.lines] == [0, 1]
    assert [event["round"] for event in events(site.ledger, "checkpoint")] == [0, 2]

    again = Site(tmp_path, *measured, "evaluation.final_images=6", state=checkpoint.load(tmp_path / "checkpoints"))
    line = again.recorder.record()
    assert (line["round"], line["few"], line["loss"], line["image_passes"]) == (2, 6, 0.25, 480)
    assert [line["round"] for line in again.lines] == [0, 1, 2]
    assert again.recorder.record() == {}


def test_a_line_tells_what_crossed_each_hop(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.state.count("access_up", Traffic(3, 40, 80))
    site.state.count("access_up", Traffic(1, 2, 4))
    site.state.latest = RoundSummary(0.25, 3, 120, 8, 480)
    site.state.round = 1
    record = site.recorder(1, ArrayRecord())
    [line] = site.lines
    assert (line["access_up_messages"], line["access_up_parameters"], line["access_up_bytes"]) == (4, 42, 84)
    assert (line["backbone_down_messages"], line["backbone_down_bytes"]) == (0, 0)
    assert (line["loss"], line["clients"], line["samples"], line["edge_rounds"]) == (0.25, 3, 120, 2)
    assert (line["client_epochs"], line["image_passes"]) == (8, 480)
    assert line["parameters"] == START.structure.size
    assert record["access_up_bytes"] == 84


def test_a_global_model_draws_itself(tmp_path: Path) -> None:
    site = Site(tmp_path, "rounds=3")
    site.recorder.record()
    site.commit()
    assert site.asked == []
    assert (tmp_path / "samples" / "round_0001.png").exists()


def test_statistics_that_were_made_ahead_are_told_once(tmp_path: Path) -> None:
    measured = [
        "evaluation=fd_classifier",
        "evaluation.images=4",
        "evaluation.every=1",
        "evaluation.classifier_epochs=1",
    ]
    cache = [f"evaluation.cache={tmp_path / 'cache'}", "data.limit=40"]
    told = []
    for run in ("first", "second"):
        site = Site(tmp_path / run, *measured, *cache, "rounds=9")
        site.recorder.record()
        site.commit()
        told.append([(event["split"], event["images"]) for event in events(site.ledger, "reuse")])
    assert told == [[], [("train", 40), ("holdout", 297)]]


@pytest.mark.parametrize("kind", ["udec", "ulatdec"])
def test_where_there_is_no_global_model_the_clients_draw(tmp_path: Path, kind: str) -> None:
    """Before the first round everybody has the same network; later each has its own."""
    site = Site(tmp_path, f"exchange={kind}", "rounds=5", "evaluation.every=2")
    site.recorder.record()
    for _ in range(5):
        site.commit()
    assert site.asked == [(2, 4), (4, 4), (5, 4)]  # each second round, and the last
    assert sorted(file.name for file in (tmp_path / "samples").iterdir()) == [
        f"round_{number:04d}.png" for number in (0, 2, 4, 5)
    ]


def test_the_clients_draw_more_at_the_end(tmp_path: Path) -> None:
    measured = ["evaluation=fd_classifier", "evaluation.images=5", "evaluation.final_images=8"]
    more = ["evaluation.classifier_epochs=1", "data.limit=40", "evaluation.every=1", "exchange=udec", "rounds=2"]
    site = Site(tmp_path, *measured, *more)
    site.commit()
    site.commit()
    assert site.asked == [(1, 5), (2, 8)]


def test_checkpoints_hold_the_whole_state(tmp_path: Path) -> None:
    site = Site(tmp_path, "checkpoint.every=2", "rounds=3")
    site.recorder.record()
    site.state.reference, site.state.losses = Reference(1, packed(1.0)), [0.5]
    for _ in range(3):
        site.commit()
    assert [event["round"] for event in events(site.ledger, "checkpoint")] == [0, 2, 3]
    loaded = checkpoint.load(tmp_path / "checkpoints")
    assert loaded.reference is not None
    assert (loaded.reference.round, loaded.reference.model.hash, loaded.losses) == (1, packed(1.0).hash, [0.5])


OWN = ["partition.holdout=0.1", "evaluation.own=true"]


def test_clients_are_asked_after_each_round_that_is_evaluated(tmp_path: Path) -> None:
    site = Site(tmp_path, *OWN, "evaluation.every=2", "rounds=5")
    site.recorder.record()
    for _ in range(5):
        site.commit()
    assert site.assessed == [(number, 0, None) for number in (2, 4, 5)]  # not before the first round
    assert site.lines[2]["own_loss"] == pytest.approx(0.3)
    assert site.lines[2]["own_loss/client-2"] == pytest.approx(0.4)
    assert "own_loss" not in site.lines[3]
    assert events(site.ledger, "evaluate")[1]["own_loss"] == pytest.approx(0.3)
    assert [event["round"] for event in events(site.ledger, "assess")] == [2, 2, 4, 4, 5, 5]


@pytest.mark.parametrize(("exchange", "generated"), [("full", (7, 1, 8, 8)), ("udec", None)])
def test_generated_images_are_compared_after_the_last_round(
    tmp_path: Path, exchange: str, generated: tuple[int, ...] | None
) -> None:
    """Where there is no global model, each client draws, and the root has nothing to show."""
    memorised = ["partition.holdout=0.1", "evaluation.memorisation=7", f"exchange={exchange}"]
    site = Site(tmp_path, *memorised, "rounds=2")
    site.recorder.record()
    site.commit()
    assert site.assessed == []
    site.commit()
    assert site.assessed == [(2, 7, generated)]
    assert site.lines[-1]["copied_share"] == 0.0
    assert (tmp_path / "evaluation" / "nearest.png").exists() == (exchange == "full")
    assert [event["peer"] for event in events(site.ledger, "compare")] == ["client-0", "client-2"]


def test_nearest_images_are_shown_only_where_they_are_the_roots_own() -> None:
    split = ["partition.holdout=0.1", "evaluation.memorisation=7"]
    assert are_roots_own(small_config(*split))
    deployed = ["runtime=deployment", "runtime.superlink=root.example.org:9093", "runtime.insecure=true"]
    assert not are_roots_own(small_config(*split, *deployed))
    own = ["data=folder", "data.path=/somewhere", "data.size=8", "partition=own", "partition.holdout=0.1"]
    assert not are_roots_own(small_config(*own))


def test_pairs_of_generated_and_nearest_training_images(tmp_path: Path) -> None:
    """... of those that clients train on; what they hold out is not among them."""
    config = small_config("partition.holdout=0.2", "data.limit=60")
    data = [local_data(config, index) for index in range(4)]
    generated = np.concatenate([data[3].held_out.pixels[:1], data[1].images[4:6]])
    show_nearest(config, generated, tmp_path / "nearest.png", torch.device("cpu"))
    trained = np.concatenate([one.images for one in data])
    distances = ((trained.astype(float) - generated[0]) ** 2).mean((1, 2, 3))
    others = np.concatenate([generated[1:], trained[distances.argmin()][None]])
    expected = np.concatenate([generated[[1, 2, 0]], others], axis=3)
    save_grid(expected, tmp_path / "expected.png")
    pictures = [np.asarray(Image.open(tmp_path / name)) for name in ("nearest.png", "expected.png")]
    np.testing.assert_array_equal(*pictures)

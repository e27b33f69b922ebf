"""What the root writes down of what clients say of a model by their own images."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import events, small_config

from fedphd.common.data.images import Pixels
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.messages import Assessment, Distances
from fedphd.server.evaluation.own_images import OwnImages

FAR = [0.5, 0.6, 0.7]
GENERATED = np.zeros((2, 1, 8, 8), np.uint8)


def assessment(
    index: int, loss: float, near: float | None = None, images: int = 3, far: list[float] = FAR
) -> Assessment:
    """Tell a loss that rises with the time, and how near two generated images are."""
    losses = [loss + 0.01 * number for number in range(10)] if images else []
    distances = None
    if near is not None:
        distances = Distances([near, 0.9], [2 * near, 1.8], [0.4, 0.4], far, far, far)
    return Assessment(f"client-{index}", images, losses, [0.1] * len(losses), distances)


class Told:
    """Clients that say what they are told to."""

    def __init__(self, folder: Path, *told: Assessment) -> None:
        self.told, self.asked = told, []  # type: ignore[var-annotated]
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.own = OwnImages(small_config(), self.ledger, self.assessments)

    def assessments(self, images: int, generated: Pixels | None) -> Iterator[Assessment]:
        self.asked.append((images, generated))
        yield from self.told


def test_losses_of_all_clients_and_of_each_by_time(tmp_path: Path) -> None:
    clients = Told(tmp_path, assessment(0, 0.2), assessment(2, 0.4))
    found = clients.own.measure(5)
    assert clients.asked == [(0, None)]
    assert found["own_loss"] == pytest.approx(0.345)
    assert (found["own_loss/client-0"], found["own_loss/client-2"]) == pytest.approx((0.245, 0.445))
    assert (found["own_loss_at/0-99"], found["own_loss_at/900-999"]) == pytest.approx((0.3, 0.39))
    assert (found["own_loss_training"], found["own_loss_training_at/500-599"]) == pytest.approx((0.1, 0.1))
    assert not {key for key in found if "share" in key}
    told = events(clients.ledger, "assess")
    assert [(one["round"], one["peer"], one["images"]) for one in told] == [(5, "client-0", 3), (5, "client-2", 3)]
    assert told[0]["loss"] == pytest.approx([0.2 + 0.01 * number for number in range(10)])


def test_clients_without_held_out_images_are_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clients = Told(tmp_path, assessment(0, 0.2), assessment(1, 0.0, images=0))
    assert set(events_of(clients)) == {"client-0"}
    assert "hold out no image, so the model was not measured there: client-1" in caplog.text


def events_of(clients: Told) -> list[object]:
    clients.own.measure(1)
    return [one["peer"] for one in events(clients.ledger, "assess")]


def test_nobody_says_anything(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Told(tmp_path).own.measure(3, 2, GENERATED) == {}
    assert "no client measured the model of round 3" in caplog.text


def test_copies_are_told_and_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clients = Told(tmp_path, assessment(0, 0.2, near=0.01), assessment(1, 0.2, near=0.55))
    found = clients.own.measure(6, 2, GENERATED)
    assert clients.asked[0][0] == 2
    assert (found["copied_share/client-0"], found["copied_share/client-1"]) == (0.5, 0.0)
    assert (found["near_share/client-0"], found["near_share/client-1"]) == (0.5, 0.0)
    assert (found["copied_share"], found["authentic_share"]) == (0.5, 0.75)
    told = events(clients.ledger, "compare")
    assert [(one["peer"], one["copies"], one["flagged"]) for one in told] == [
        ("client-0", 1, True),
        ("client-1", 0, False),
    ]
    assert (told[0]["nearest"], told[0]["held_out_nearest"]) == ([0.01, 0.9], FAR)
    assert "as near as copies to training images of client-0" in caplog.text
    assert "client-1" not in caplog.text


def test_where_each_client_drew_itself_shares_are_means(tmp_path: Path) -> None:
    clients = Told(tmp_path, assessment(0, 0.2, near=0.01), assessment(1, 0.2, near=0.55))
    assert clients.own.measure(6, 2)["copied_share"] == 0.25


def test_who_holds_out_training_images_cannot_tell_copies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blind = assessment(0, 0.2, near=0.0, far=[0.0, 0.6, 0.7])
    clients = Told(tmp_path, blind, assessment(1, 0.2, near=0.55))
    found = clients.own.measure(6, 2, GENERATED)
    assert (found["copied_share"], found["copied_share/client-1"]) == (0.0, 0.0)
    assert "copied_share/client-0" not in found
    told = events(clients.ledger, "compare")
    assert [(one["copies"], one["flagged"], one["blind"]) for one in told] == [(1, False, True), (0, False, False)]
    assert "held-out images of client-0 are among its training images" in caplog.text
    alone = Told(tmp_path / "alone", blind).own.measure(6, 2, GENERATED)
    assert "own_loss" in alone and not [key for key in alone if "share" in key]

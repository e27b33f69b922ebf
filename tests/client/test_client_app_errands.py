"""The real ClientApp on errands: training a local model, and drawing images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from asking import ask, settings, start_of, train_order, update_of
from flwr.app import Message, RecordDict
from helpers import SHARED, download

from fedphd.client.local_data import local_data
from fedphd.common.config import Config
from fedphd.common.network.packing import PackedModel, unpack
from fedphd.common.network.rebuild import rebuild_unet
from fedphd.common.training.sampling import Sampler
from fedphd.common.wire.messages import ASSESS, DRAW, LOCAL, TRAIN, Assessment, ClientErrand, ClientUpdate, Drawing
from fedphd.common.wire.parts import PARTS, Parts

QUICK = ["sampler.steps=2"]
LOCALLY = ["correction=each_round", "correction.local_epochs=3"]


@pytest.fixture(scope="module")
def start() -> PackedModel:
    return start_of(settings())


def errand(
    model: PackedModel, kind: str = "full", parts: Parts = PARTS, root_round: int = 0, images: int = 0
) -> RecordDict:
    """Ask as an edge does after `root_round` root rounds of two edge rounds."""
    down = download(model, parts, SHARED[kind])
    return ClientErrand(down, "edge-0", root_round + 1, 2 * root_round, images).write()


# --- local models -----------------------------------------------------------------------------------


def local(config: Config, folder: Path, content: RecordDict, start: PackedModel) -> ClientUpdate:
    reply = ask(config, folder, content, LOCAL, 1)[1]
    assert not reply.has_error(), reply.error.reason
    return replace(ClientUpdate.read(reply.content, start.structure), seconds=0.0)


def test_a_local_model(tmp_path: Path, start: PackedModel) -> None:
    config = settings(*LOCALLY)
    update = local(config, tmp_path, errand(start), start)
    images = len(local_data(config, 0).images)
    assert (update.client, update.samples, update.control) == ("client-0", images, None)
    assert update.model.decode().hash != start.hash


def test_a_local_model_follows_from_seed_and_start_alone(tmp_path: Path, start: PackedModel) -> None:
    """Whatever round the run is in, whatever the client did before, and whatever else the method adds."""
    config = settings(*LOCALLY)
    first = local(config, tmp_path, errand(start), start)
    ask(config, tmp_path, train_order(start, 0).write(), TRAIN, 1)
    later = local(config, tmp_path, errand(start, root_round=1), start)
    assert replace(later, edge_round=0) == first
    terms = ["objective=control_variates", "+objective/term=[contrastive,group_sparsity,proximal]"]
    assert local(settings(*LOCALLY, *terms), tmp_path / "other", errand(start), start) == first
    assert local(settings(*LOCALLY, "seed=1"), tmp_path / "seed", errand(start), start).model != first.model


def test_a_local_model_is_sent_as_weights_of_at_least_8_bits(tmp_path: Path, start: PackedModel) -> None:
    update = local(settings(*LOCALLY, "codec=int4"), tmp_path, errand(start), start)
    assert (update.model.kind, update.model.change) == ("int8", False)
    exact = local(settings(*LOCALLY), tmp_path, errand(start), start).model.decode().vector
    assert 0 < np.abs(update.model.decode().vector - exact).max() < np.abs(exact).max() / 127


# --- images -----------------------------------------------------------------------------------------


def drawn(config: Config, folder: Path, content: RecordDict, images: int) -> Drawing:
    reply = ask(config, folder, content, DRAW, 1)[1]
    assert not reply.has_error(), reply.error.reason
    return Drawing.read(reply.content, (images, 1, 8, 8))


def by_root(config: Config, model: PackedModel, images: int) -> np.ndarray:
    unet = rebuild_unet(config.model, model.structure)
    unet.load_state_dict(unpack(model))
    return Sampler.of(config, torch.device("cpu")).draw(unet, images)


def test_a_client_draws_with_what_it_was_sent(tmp_path: Path, start: PackedModel) -> None:
    config = settings(*QUICK)
    drawing = drawn(config, tmp_path, errand(start, images=3), 3)
    assert (drawing.client, drawing.trained) == ("client-0", False)
    np.testing.assert_array_equal(drawing.images, by_root(config, start, 3))


@pytest.mark.parametrize("point", ["trained", "averaged"])
def test_a_client_draws_with_its_own_parts(tmp_path: Path, start: PackedModel, point: str) -> None:
    """And with its own decoder, or the one that it is sent."""
    config = settings(*QUICK, "exchange=udec", "training.keep_optimizer=false", f"evaluation.clients={point}")
    order = train_order(start, 1, "udec")
    whole = replace(order, reports=PARTS, download=replace(order.download, shared=PARTS))
    ask(config, tmp_path, order.write(), TRAIN, 1)
    own = update_of(ask(config, tmp_path / "else", whole.write(), TRAIN, 1)[1], whole).model.decode()
    # Of what is sent now only the decoder counts.
    sent = PackedModel(start.structure, start.vector * np.float32(0.5))
    averaged = own.overlay(download(sent, SHARED["udec"]).model.decode())
    expected = own if point == "trained" else averaged
    assert (by_root(config, own, 2) != by_root(config, averaged, 2)).any()
    for parts in (PARTS, SHARED["udec"]):
        drawing = drawn(config, tmp_path, errand(sent, "udec", parts, root_round=1, images=2), 2)
        np.testing.assert_array_equal(drawing.images, by_root(config, expected, 2))
        assert drawing.trained == (point == "trained")


def reply_to(kind: str, parts: Parts, folder: Path, start: PackedModel) -> Message:
    content = errand(start, kind, parts, root_round=1, images=2)
    return ask(settings(*QUICK, f"exchange={kind}"), folder, content, DRAW, 1)[1]


def test_a_client_that_never_trained_draws_with_all_that_was_sent(tmp_path: Path, start: PackedModel) -> None:
    config = settings(*QUICK, "exchange=udec")
    drawing = Drawing.read(reply_to("udec", PARTS, tmp_path, start).content, (2, 1, 8, 8))
    np.testing.assert_array_equal(drawing.images, by_root(config, start, 2))
    assert not drawing.trained
    refused = reply_to("udec", SHARED["udec"], tmp_path, start)
    assert "MissingStateError" in refused.error.reason


# --- what the client says of a model ----------------------------------------------------------------

HELD_OUT = "partition.holdout=0.2"  # 6 of 30 images


def assessed(config: Config, folder: Path, content: RecordDict) -> Assessment:
    reply = ask(config, folder, content, ASSESS, 1)[1]
    assert not reply.has_error(), reply.error.reason
    return Assessment.read(reply.content)


def shown(model: PackedModel, images: np.ndarray) -> RecordDict:
    return ClientErrand(download(model), "edge-0", 1, 0, len(images), generated=images).write()


def test_a_client_tells_its_losses(tmp_path: Path, start: PackedModel) -> None:
    config = settings(HELD_OUT)
    told = assessed(config, tmp_path, errand(start))
    assert (told.client, told.images, told.distances) == ("client-0", 6, None)
    assert [len(told.loss), len(told.training_loss)] == [10, 10]
    assert told.loss != told.training_loss
    assert assessed(config, tmp_path / "elsewhere", errand(start, root_round=3)) == told
    few = assessed(settings(HELD_OUT, "evaluation.own_images=2"), tmp_path, errand(start))
    assert (few.images, few.loss == told.loss) == (2, False)


def test_a_client_that_holds_nothing_out_has_no_losses_to_tell(tmp_path: Path, start: PackedModel) -> None:
    told = assessed(settings(), tmp_path, errand(start))
    assert (told.images, told.loss, told.training_loss) == (0, [], [])


def test_nor_does_it_tell_distances_that_nobody_could_judge(tmp_path: Path, start: PackedModel) -> None:
    told = assessed(settings(), tmp_path, shown(start, np.zeros((2, 1, 8, 8), np.uint8)))
    assert (told.images, told.distances) == (0, None)


def test_training_images_among_generated_ones_are_no_distance_away(tmp_path: Path, start: PackedModel) -> None:
    config = settings(HELD_OUT)
    own = local_data(config, 0)
    images = np.concatenate([own.images[:3], own.held_out.pixels[:2]])
    distances = assessed(config, tmp_path, shown(start, images)).distances
    assert distances is not None
    assert distances.nearest[:3] == distances.ratio[:3] == [0.0] * 3
    assert min(distances.nearest[3:]) > 0
    assert min(distances.spacing) > 0
    assert sorted(distances.held_out_nearest)[0] <= min(distances.nearest[3:])
    assert len(distances.held_out_ratio) == len(distances.held_out_spacing) == 6


def test_generated_images_of_another_shape(tmp_path: Path, start: PackedModel) -> None:
    content = shown(start, np.zeros((2, 3, 8, 8), np.uint8))
    reply = ask(settings(HELD_OUT), tmp_path, content, ASSESS, 1)[1]
    assert "generated images are (3, 8, 8), this client's (1, 8, 8)" in reply.error.reason


def test_a_client_with_parts_of_its_own_measures_these_and_draws_itself(tmp_path: Path, start: PackedModel) -> None:
    config = settings(*QUICK, HELD_OUT, "exchange=udec", "training.keep_optimizer=false")
    ask(config, tmp_path, train_order(start, 1, "udec").write(), TRAIN, 1)
    content = errand(start, "udec", SHARED["udec"], root_round=1, images=3)
    told = assessed(config, tmp_path, content)
    assert told.distances is not None and len(told.distances.nearest) == 3
    untrained = assessed(config, tmp_path / "else", errand(start, "udec", PARTS, root_round=1, images=3))
    assert told.loss != untrained.loss
    drawing = drawn(config, tmp_path, content, 3)
    compared = assessed(settings(*QUICK, HELD_OUT), tmp_path / "shown", shown(start, drawing.images))
    assert compared.distances is not None and compared.distances.nearest == told.distances.nearest


def test_a_global_model_is_measured_as_it_came(tmp_path: Path, start: PackedModel) -> None:
    """... also by a client that keeps its own last model for another purpose."""
    config = settings(HELD_OUT, "+objective/term=contrastive")
    ask(config, tmp_path, train_order(start, 1).write(), TRAIN, 1)
    plain = assessed(settings(HELD_OUT), tmp_path / "else", errand(start, root_round=1))
    assert assessed(config, tmp_path, errand(start, root_round=1)).loss == plain.loss

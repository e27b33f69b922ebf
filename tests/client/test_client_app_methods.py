"""The real ClientApp with each exchange, codec and objective: it answers what was asked, and trains accordingly."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from asking import ask, reporting, settings, start_of, train_order, update_of
from helpers import exact

from fedphd.common.config import Config
from fedphd.common.network.packing import PackedModel
from fedphd.common.wire.codec import coded_bytes
from fedphd.common.wire.codec.coded import code
from fedphd.common.wire.links import decode_upload, rounding_seed
from fedphd.common.wire.messages import TRAIN, ClientUpdate, TrainOrder
from fedphd.common.wire.parts import PARTS, Parts, restrict

ANEW = "training.keep_optimizer=false"
PLAIN = settings(ANEW)
# One step of SGD, so that it can be checked by hand: 30 images in one batch.
ONE_STEP = [
    *("training.optimizer=sgd", "training.lr=0.5", "training.schedule=constant", "training.warmup_steps=0"),
    *("training.clip_norm=null", "training.batch_size=30", ANEW),
]

Train = Callable[[Config, TrainOrder], ClientUpdate]


@pytest.fixture(scope="module")
def start() -> PackedModel:
    return start_of(PLAIN)


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Ask client 0, whose disk is that of the test."""

    def ask_client(config: Config, order: TrainOrder) -> ClientUpdate:
        return update_of(ask(config, tmp_path, order.write(), TRAIN, 1)[1], order)

    return ask_client


@pytest.fixture(scope="module")
def trained(start: PackedModel, tmp_path_factory: pytest.TempPathFactory) -> PackedModel:
    """Give what client 0 makes of `start` in edge round 0 where nothing is special."""
    order = train_order(start, 0)
    return update_of(ask(PLAIN, tmp_path_factory.mktemp("plain"), order.write(), TRAIN, 1)[1], order).model.decode()


# --- exchange ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("full", PARTS),
        ("usplit", ("decoder",)),
        ("usplit", ("encoder", "bottleneck")),
        ("ulatdec", ("bottleneck", "decoder")),
        ("udec", ("decoder",)),
    ],
)
def test_only_what_was_asked_for_is_reported(
    train: Train, start: PackedModel, trained: PackedModel, kind: str, parts: Parts
) -> None:
    update = train(settings(ANEW, f"exchange={kind}"), reporting(train_order(start, 0, kind), *parts))
    assert update.model.decode().hash == trained.select(restrict(start.structure, parts)).hash
    assert (update.model.kind, update.model.change) == ("float32", False)


def test_own_parts_are_trained_on(train: Train, start: PackedModel, trained: PackedModel) -> None:
    """The next decoder comes alone: the client goes on with its own encoder and bottleneck."""
    config = settings(ANEW, "exchange=udec")
    train(config, train_order(start, 0, "udec"))
    decoder = restrict(start.structure, ("decoder",))
    new = PackedModel(start.structure, start.vector * np.float32(0.5))
    update = train(config, train_order(new, 1, "udec", ("decoder",)))
    expected = train(PLAIN, train_order(trained.overlay(new.select(decoder)), 1)).model.decode()
    assert update.model.decode().hash == expected.select(decoder).hash


# --- codec ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "kind", "change"),
    [
        ("float32", "float32", False),
        ("float16", "float16", False),
        ("bfloat16", "bfloat16", False),
        ("int8_weights", "int8", False),
        ("int8", "int8", True),
        ("int4", "int4", True),
    ],
)
def test_answers_are_coded_as_asked(
    train: Train, start: PackedModel, trained: PackedModel, codec: str, kind: str, change: bool
) -> None:
    config = settings(ANEW, f"codec={codec}")
    update = train(config, train_order(start, 0))
    assert (update.model.kind, update.model.change) == (kind, change)
    assert update.model.nbytes == coded_bytes(start.structure, kind)
    base = start if change else None
    seed = rounding_seed(config.seed, "up", "client-0", 0)
    assert update.model.data == code(trained, config.codec.access.up, base, seed).data
    assert decode_upload(update.model, start, config.codec.access.up).structure == start.structure


# --- objective --------------------------------------------------------------------------------------


def test_a_proximal_term_keeps_near_what_was_received(train: Train, start: PackedModel, trained: PackedModel) -> None:
    near = train(
        settings(ANEW, "objective=proximal", "objective.terms.proximal.weight=100"), train_order(start, 0)
    ).model.decode()
    distances = [float(np.linalg.norm(model.vector - start.vector)) for model in (near, trained)]
    assert 0 < distances[0] < 0.9 * distances[1]


def test_a_contrastive_term_needs_a_previous_model(train: Train, start: PackedModel, trained: PackedModel) -> None:
    config = settings(ANEW, "objective=contrastive")
    assert train(config, train_order(start, 0)).model.decode().hash == trained.hash
    second, plain = (train(one, train_order(start, 1)).model.decode() for one in (config, PLAIN))
    assert second.hash != plain.hash


@pytest.mark.parametrize(("restart", "share"), [("true", 0.25), ("false", 0.75)])
def test_warm_up_begins_anew_after_the_pruning(train: Train, start: PackedModel, restart: str, share: float) -> None:
    """The third edge round, with one step each, is the first of the second root round."""
    pruned = ["pruning=sparse_then_prune", "pruning.sparse_rounds=1", f"pruning.restart_warmup={restart}"]
    order = train_order(start, 2)
    warm, full = (
        train(settings(*ONE_STEP, f"training.warmup_steps={steps}", *pruned), order).model.decode().vector
        for steps in (4, 0)
    )
    np.testing.assert_allclose(warm - start.vector, share * (full - start.vector), rtol=0, atol=1e-6)


def scaffold(
    start: PackedModel, edge_round: int, c: PackedModel | None = None, final: bool = True, counted: int = 0
) -> TrainOrder:
    control = None if c is None else exact(c)
    return replace(train_order(start, edge_round), control=control, final=final, counted=counted)


def test_the_change_of_control_variates_is_the_mean_gradient(train: Train, start: PackedModel) -> None:
    """With c = c_k = 0 and SGD, K steps of rate eta: c_k+ = (x - y) / (K eta), here K = 1 and eta = 1/2."""
    config = settings(*ONE_STEP, "objective=control_variates")
    update = train(config, scaffold(start, 0))
    assert update.control is not None
    moved = start.vector - update.model.decode().vector
    np.testing.assert_allclose(update.control.decode().vector, moved / 0.5, rtol=0, atol=1e-6)


def test_gradients_are_corrected_by_c_less_c_k(train: Train, start: PackedModel) -> None:
    """In one step of rate 1/2, c moves every weight by -c/2; afterwards c_k+ = c_k - c + (x - y) / eta."""
    config = settings(*ONE_STEP, "objective=control_variates")
    c = PackedModel(start.structure, np.full(start.structure.size, 0.25, np.float32))
    without, with_c = train(config, scaffold(start, 0, final=False)), train(config, scaffold(start, 0, c))
    assert without.control is None
    moved = with_c.model.decode().vector - without.model.decode().vector
    np.testing.assert_allclose(moved, -0.125, rtol=0, atol=1e-6)
    assert with_c.control is not None
    gradient = (start.vector - without.model.decode().vector) / 0.5
    np.testing.assert_allclose(with_c.control.decode().vector, gradient, rtol=0, atol=2e-6)


def test_c_k_is_kept_from_final_rounds_only(train: Train, start: PackedModel) -> None:
    """The next root round's correction is c - c_k = -c_k."""
    config = settings(*ONE_STEP, "objective=control_variates")
    c_k = train(config, scaffold(start, 1)).control
    assert c_k is not None
    corrected = train(config, scaffold(start, 2, counted=2)).model.decode()
    plain = train(settings(*ONE_STEP), train_order(start, 2)).model.decode()
    np.testing.assert_allclose(corrected.vector - plain.vector, 0.5 * c_k.decode().vector, rtol=0, atol=1e-6)


def test_a_round_that_is_not_final_leaves_c_k_alone(train: Train, start: PackedModel) -> None:
    config = settings(*ONE_STEP, "objective=control_variates")
    train(config, scaffold(start, 0, final=False))
    later = train(config, scaffold(start, 2, final=False, counted=1)).model.decode()
    assert later.hash == train(settings(*ONE_STEP), train_order(start, 2)).model.decode().hash

"""The real ClientApp on an in-process grid, with a real U-Net on real digits: registering and plain training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from asking import FEW, ask, start_of, train_order, update_of
from flwr.app import RecordDict
from helpers import packed, small_config

from fedphd.client.local_data import local_data
from fedphd.common.config import Config
from fedphd.common.network.packing import PackedModel
from fedphd.common.wire.messages import REGISTER, TRAIN, Profile


@pytest.fixture(scope="module")
def settings() -> Config:
    return small_config(*FEW, "topology.homes=null", "training.keep_optimizer=false")


@pytest.fixture(scope="module")
def start(settings: Config) -> PackedModel:
    return start_of(settings)


def test_registration(settings: Config, tmp_path: Path) -> None:
    replies = ask(settings, tmp_path, RecordDict(), REGISTER, 1, 2, 3, 4)
    profiles = {node: Profile.read(reply.content) for node, reply in replies.items()}
    assert [profiles[node].client for node in (1, 2, 3, 4)] == ["client-0", "client-1", "client-2", "client-3"]
    for node, one in profiles.items():
        own = local_data(settings, node - 1)
        assert (one.samples, one.counts, one.classes) == (len(own.images), own.counts.tolist(), list(own.classes))


def test_training(settings: Config, start: PackedModel, tmp_path: Path) -> None:
    order = train_order(start, 3)
    replies = ask(settings, tmp_path, order.write(), TRAIN, 1, 2)
    first, second = update_of(replies[1], order), update_of(replies[2], order)
    own = len(local_data(settings, 0).images)
    assert (first.client, first.edge_round, first.samples) == ("client-0", 3, own)
    assert first.loss > 0
    models = [first.model.decode(), second.model.decode(), start]
    assert len({model.hash for model in models}) == 3
    assert np.abs(models[0].vector - start.vector).max() < 0.1
    assert first.control is None


def test_a_client_gives_the_same_answer_again_and_another_in_another_round(
    settings: Config, start: PackedModel, tmp_path: Path
) -> None:
    def answer(edge_round: int, folder: str) -> str:
        order = train_order(start, edge_round)
        return update_of(ask(settings, tmp_path / folder, order.write(), TRAIN, 1)[1], order).model.decode().hash

    assert answer(3, "a") == answer(3, "a") == answer(3, "b")
    assert answer(4, "a") != answer(3, "a")


def test_sparse_rounds_train_otherwise(start: PackedModel, tmp_path: Path) -> None:
    config = small_config(*FEW, "objective=group_sparsity", "objective.terms.group_sparsity.weight=0.01")
    orders = [train_order(start, 0, sparse=sparse) for sparse in (False, True)]
    replies = [ask(config, tmp_path / str(order.sparse), order.write(), TRAIN, 1)[1] for order in orders]
    trained = [update_of(reply, order).model.decode() for reply, order in zip(replies, orders, strict=True)]
    assert trained[0].hash != trained[1].hash


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (RecordDict(), "MessageError"),
        (train_order(packed(1.0, 2.0), 0).write(), "StructureError"),
        (replace(train_order(packed(1.0), 0), edge="edge-2").write(), "which is no home of client-0"),
        (replace(train_order(packed(1.0), 0), edge="../edge-0").write(), "which is no home of client-0"),
    ],
)
def test_orders_that_cannot_be_used(settings: Config, tmp_path: Path, content: RecordDict, reason: str) -> None:
    reply = ask(settings, tmp_path, content, TRAIN, 1)[1]
    assert reply.error.code == 2
    assert reason in reply.error.reason

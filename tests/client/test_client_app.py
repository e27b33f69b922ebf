"""The real ClientApp on an in-process grid, with a real U-Net on real digits."""

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message, RecordDict
from helpers import packed, small_config

from client.app import app
from client.local_data import local_data
from common.config import Config, to_run_config
from common.flower.exchange import exchange
from common.flower.inprocess import InProcessGrid
from common.messages import REGISTER, TRAIN, ClientUpdate, Profile, TrainOrder
from common.model import build_unet
from common.packing import PackedModel, pack


@pytest.fixture(scope="module")
def settings() -> Config:
    return small_config("data.limit=120", "topology.homes=null", "training.keep_optimizer=false")


@pytest.fixture(scope="module")
def start(settings: Config) -> PackedModel:
    return pack(build_unet(settings.model, settings.seed).state_dict())


def ask(config: Config, folder: Path, content: RecordDict, message_type: str, *nodes: int) -> dict[int, Message]:
    grid = InProcessGrid(app, config.topology.clients, to_run_config(config, folder))
    messages = [Message(content, node, message_type) for node in nodes]
    return {reply.metadata.src_node_id: reply for reply in exchange(grid, messages, 60.0)}


def test_registration(settings: Config, tmp_path: Path) -> None:
    replies = ask(settings, tmp_path, RecordDict(), REGISTER, 1, 2, 3, 4)
    profiles = {node: Profile.read(reply.content) for node, reply in replies.items()}
    assert [profiles[node].client for node in (1, 2, 3, 4)] == ["client-0", "client-1", "client-2", "client-3"]
    for node, one in profiles.items():
        own = local_data(settings, node - 1)
        assert (one.samples, one.counts, one.classes) == (len(own.images), own.counts.tolist(), list(own.classes))


def update(reply: Message, start: PackedModel) -> ClientUpdate:
    return ClientUpdate.read(reply.content, start.structure)


def test_training(settings: Config, start: PackedModel, tmp_path: Path) -> None:
    order = TrainOrder(start, 1, 3, False).write()
    replies = ask(settings, tmp_path, order, TRAIN, 1, 2)
    first, second = update(replies[1], start), update(replies[2], start)
    own = len(local_data(settings, 0).images)
    assert (first.client, first.edge_round, first.samples) == ("client-0", 3, own)
    assert first.steps == -(-own // settings.training.batch_size)
    assert first.loss > 0
    assert len({first.model.hash, second.model.hash, start.hash}) == 3
    assert np.abs(first.model.vector - start.vector).max() < 0.1


def test_a_client_gives_the_same_answer_again_and_another_in_another_round(
    settings: Config, start: PackedModel, tmp_path: Path
) -> None:
    def answer(edge_round: int, folder: str) -> str:
        order = TrainOrder(start, 1, edge_round, False).write()
        return update(ask(settings, tmp_path / folder, order, TRAIN, 1)[1], start).model.hash

    assert answer(3, "a") == answer(3, "a") == answer(3, "b")
    assert answer(4, "a") != answer(3, "a")


def test_sparse_rounds_train_otherwise(start: PackedModel, tmp_path: Path) -> None:
    config = small_config("data.limit=120", "objective=group_sparsity", "objective.sparsity=0.01")
    orders = {sparse: TrainOrder(start, 1, 0, sparse).write() for sparse in (False, True)}
    replies = [ask(config, tmp_path / str(sparse), order, TRAIN, 1)[1] for sparse, order in orders.items()]
    assert len({update(reply, start).model.hash for reply in replies}) == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (RecordDict(), "MessageError"),
        (TrainOrder(packed(1.0, 2.0), 1, 0, False).write(), "StructureError"),
    ],
)
def test_orders_that_cannot_be_used(settings: Config, tmp_path: Path, content: RecordDict, reason: str) -> None:
    reply = ask(settings, tmp_path, content, TRAIN, 1)[1]
    assert reply.error.code == 2
    assert reason in reply.error.reason

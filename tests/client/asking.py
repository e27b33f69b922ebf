"""Asking the real ClientApp: what its tests share."""

from dataclasses import replace
from pathlib import Path

from flwr.app import Message, RecordDict
from helpers import SHARED, download, small_config

from fedphd.client.app import app
from fedphd.common.config import Config, to_run_config
from fedphd.common.flower.delivery import deliver
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.wire.messages import ClientUpdate, TrainOrder
from fedphd.common.wire.parts import PARTS, Parts
from fedphd.launch.runtimes.client_grid import InProcessGrid

FEW = ["data.limit=120", "training.batch_size=16"]  # 30 images for each of four clients: two steps in an epoch


def start_of(config: Config) -> PackedModel:
    return pack(build_unet(config.model, config.seed).state_dict())


def settings(*overrides: str) -> Config:
    return small_config(*FEW, *overrides)


def ask(config: Config, folder: Path, content: RecordDict, message_type: str, *nodes: int) -> dict[int, Message]:
    """Ask nodes, of which the first is client 0; their disks are below `folder`."""
    grid = InProcessGrid(app, config.topology.clients, to_run_config(config, folder))
    messages = [Message(content, node, message_type) for node in nodes]
    return {reply.metadata.src_node_id: reply for reply in deliver(grid, messages, 60.0)}


def train_order(
    model: PackedModel, edge_round: int, kind: str = "full", parts: Parts = PARTS, sparse: bool = False
) -> TrainOrder:
    """Ask for all that travels; two edge rounds make a root round."""
    down = download(model, parts, SHARED[kind])
    return TrainOrder(down, "edge-0", edge_round // 2 + 1, edge_round, sparse, SHARED[kind], final=False)


def update_of(reply: Message, order: TrainOrder) -> ClientUpdate:
    assert not reply.has_error(), reply.error.reason
    return ClientUpdate.read(reply.content, order.answer)


def reporting(order: TrainOrder, *parts: str) -> TrainOrder:
    return replace(order, reports=parts)

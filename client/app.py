"""The ClientApp: registers with its edge, and trains the edge's model on its own images."""

from functools import lru_cache
from pathlib import Path

import torch
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.histogram import reported_counts, reported_samples
from client.local_data import local_data
from client.network import network
from client.objective import Objective
from client.optimizer_store import OptimizerStore
from client.training import train as train_model
from common.compute import pick_device
from common.config import Config, from_run_config, run_folder
from common.diffusion import Diffusion
from common.messages import ClientUpdate, Profile, TrainOrder
from common.packing import pack
from common.seeding import derive_seed
from common.topology import client_id

app = ClientApp()


@app.query("register")
def register(message: Message, context: Context) -> Message:
    """Tell who this client is, how many images it has, and how their labels are distributed."""
    config, index = _identify(context)
    counts = reported_counts(config, index, _own_folder(context, index))
    classes = list(local_data(config, index).classes)
    profile = Profile(client_id(index), reported_samples(counts), classes, counts)
    return Message(profile.write(), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the edge's model on this client's images and send it back."""
    config, index = _identify(context)
    order = TrainOrder.read(message.content)
    unet = network(config.model, order.model)
    images = torch.from_numpy(local_data(config, index).images)
    result = train_model(
        unet,
        images,
        Objective(config.objective, Diffusion(config.diffusion), order.sparse),
        config.training,
        store=_optimizer_store(config, context, index, order) if config.training.keep_optimizer else None,
        edge_round=order.edge_round,
        edge_rounds=config.edge_rounds,
        seed=derive_seed(config.seed, "train", index, order.edge_round),
        device=pick_device(config.runtime.device),
    )
    update = ClientUpdate(
        model=pack(unet.state_dict()),
        client=client_id(index),
        edge_round=order.edge_round,
        samples=reported_samples(reported_counts(config, index, _own_folder(context, index))),
        loss=result.loss,
        steps=result.steps,
        seconds=result.seconds,
    )
    return Message(update.write(), reply_to=message)


def _identify(context: Context) -> tuple[Config, int]:
    """Read the run's configuration and this client's index from the node's context."""
    return _config(tuple(sorted(context.run_config.items()))), int(context.node_config["partition-id"])


def _optimizer_store(config: Config, context: Context, index: int, order: TrainOrder) -> OptimizerStore:
    """Keep this client's optimizer in the run folder, below its own name."""
    every, keep = config.checkpoint.every, config.checkpoint.keep
    newest = (order.root_round - 1) // every
    checkpoints = [number * every for number in range(max(newest - keep + 1, 0), newest + 1)]
    starts = [root_round * config.topology.edge_rounds for root_round in (*checkpoints, order.root_round - 1)]
    return OptimizerStore(_own_folder(context, index), order.model.structure.id, starts)


def _own_folder(context: Context, index: int) -> Path:
    """Name this client's folder on its own disk."""
    return run_folder(context.run_config, context.run_id) / "clients" / client_id(index)


@lru_cache(maxsize=4)
def _config(run_config: tuple[tuple[str, object], ...]) -> Config:
    return from_run_config(dict(run_config))

"""The ClientApp: registers with its edge, and trains the edge's model on its own images."""

import torch
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.histogram import reported_counts, reported_samples
from client.local_data import local_data
from client.network import network
from client.objective import Objective
from client.optimizer_store import OptimizerStore
from client.place import Place
from client.training import train as train_model
from common.compute import pick_device
from common.diffusion import Diffusion
from common.messages import ClientUpdate, Profile, TrainOrder
from common.packing import pack
from common.seeding import derive_seed

app = ClientApp()


@app.query("register")
def register(message: Message, context: Context) -> Message:
    """Tell who this client is, how many images it has, and how their labels are distributed."""
    place = Place.of(context)
    counts = reported_counts(place.config, place.index, place.folder)
    classes = list(local_data(place.config, place.index).classes)
    profile = Profile(place.name, reported_samples(counts), classes, counts)
    return Message(profile.write(), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the edge's model on this client's images and send it back."""
    place, order = Place.of(context), TrainOrder.read(message.content)
    config, index = place.config, place.index
    unet = network(config.model, order.model)
    images = torch.from_numpy(local_data(config, index).images)
    with place.training():
        result = train_model(
            unet,
            images,
            Objective(config.objective, Diffusion(config.diffusion), order.sparse),
            config.training,
            store=_optimizer_store(place, order) if config.training.keep_optimizer else None,
            edge_round=order.edge_round,
            edge_rounds=config.edge_rounds,
            seed=derive_seed(config.seed, "train", index, order.edge_round),
            device=pick_device(config.runtime.device),
        )
    update = ClientUpdate(
        model=pack(unet.state_dict()),
        client=place.name,
        edge_round=order.edge_round,
        samples=reported_samples(reported_counts(config, index, place.folder)),
        loss=result.loss,
        steps=result.steps,
        seconds=result.seconds,
    )
    return Message(update.write(), reply_to=message)


def _optimizer_store(place: Place, order: TrainOrder) -> OptimizerStore:
    """Keep this client's optimizer for as long as a resend or a resumed root can ask for it."""
    every, keep = place.config.checkpoint.every, place.config.checkpoint.keep
    newest = (order.root_round - 1) // every
    checkpoints = [number * every for number in range(max(newest - keep + 1, 0), newest + 1)]
    starts = [root_round * place.config.topology.edge_rounds for root_round in (*checkpoints, order.root_round - 1)]
    return OptimizerStore(place.folder, order.model.structure.id, starts)

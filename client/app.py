"""The ClientApp: registers with its edge, and trains the edge's model on its own images."""

import copy
from reprlib import repr as shortened

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from torch import Tensor

from fedphd.client.control_variates import ControlVariates
from fedphd.client.histogram import reported_counts
from fedphd.client.keeping import Keeper
from fedphd.client.latents import training_set
from fedphd.client.local_data import local_data
from fedphd.client.network import network
from fedphd.client.objective import Objective, needs_previous, needs_received
from fedphd.client.optimizer_store import OptimizerStore
from fedphd.client.place import Place
from fedphd.client.training import train as train_model
from fedphd.common.averaging.homogeneity import told_samples
from fedphd.common.config import FineTuning
from fedphd.common.config.topology import homes
from fedphd.common.network import UNet
from fedphd.common.network.autoencoder import autoencoder_of
from fedphd.common.network.packing import PackedModel, pack, unpack
from fedphd.common.training.compute import pick_device
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.sampling import draw as draw_images
from fedphd.common.training.seeding import derive_seed
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.links import plain, upload
from fedphd.common.wire.messages import ClientErrand, ClientUpdate, Drawing, Profile, TrainOrder
from fedphd.common.wire.records import MessageError

ALONE = {
    "sparsity": 0.0,
    "proximal": 0.0,
    "contrastive": 0.0,
    "control_variates": False,
}  # DDPM's loss and nothing else

app = ClientApp()


@app.query("register")
def register(message: Message, context: Context) -> Message:
    """Tell who this client is, how many images it has, and how their labels are distributed."""
    place = Place.of(context)
    counts = reported_counts(place.config, place.index, place.folder)
    classes = list(local_data(place.config, place.index).classes)
    profile = Profile(place.name, told_samples(counts), classes, counts)
    return Message(profile.write(), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the edge's model on this client's images and send back what is asked for of it."""
    place, order = Place.of(context), TrainOrder.read(message.content)
    config, index = place.config, place.index
    device = pick_device(config.runtime.device)
    keeper = _keeper(place, order)
    received = keeper.receive()
    previous = keeper.restore("previous", keeper.structure) if needs_previous(config.objective) else None
    objective = _objective(place, order, received, previous)
    unet = network(config.model, received)
    control, c_k = _control(unet, keeper, order)
    with place.training():
        result = train_model(
            unet,
            training_set(place, device),
            objective,
            config.training,
            store=_optimizer_store(place, keeper) if config.training.keep_optimizer else None,
            edge_round=order.edge_round,
            edge_rounds=config.edge_rounds,
            seed=derive_seed(config.seed, "train", index, order.edge_round),
            device=device,
            control=control,
        )
    update = ClientUpdate(
        model=keeper.report(pack(unet.state_dict()), order.reports),
        client=place.name,
        edge_round=order.edge_round,
        samples=told_samples(reported_counts(config, index, place.folder)),
        loss=result.loss,
        steps=result.steps,
        seconds=result.seconds,
        control=_control_change(control, c_k, keeper, order),
    )
    return Message(update.write(), reply_to=message)


@app.train("local")
def train_local(message: Message, context: Context) -> Message:
    """Train a model of this client's own, as if nobody else were there (FedDDPM's warm-up)."""
    place, errand = Place.of(context), ClientErrand.read(message.content)
    config, device = place.config, pick_device(place.config.runtime.device)
    local_epochs = FineTuning.narrow(config.correction, "correction").local_epochs
    unet = network(config.model, _keeper(place, errand).receive())
    with place.training():
        result = train_model(
            unet,
            training_set(place, device),
            Objective(config.objective.model_copy(update=ALONE), Diffusion(config.diffusion), sparse=False),
            config.training.model_copy(update={"epochs": local_epochs}),
            store=None,
            edge_round=0,
            edge_rounds=1,
            seed=derive_seed(config.seed, "local", place.index),
            device=device,
        )
    model = pack(unet.state_dict())
    update = ClientUpdate(
        model=upload(model, model, plain(config.codec.access.up), None)[0],
        client=place.name,
        edge_round=errand.edge_round,
        samples=told_samples(reported_counts(config, place.index, place.folder)),
        loss=result.loss,
        steps=result.steps,
        seconds=result.seconds,
    )
    return Message(update.write(), reply_to=message)


@app.evaluate()
def draw(message: Message, context: Context) -> Message:
    """Draw images with this client's model, where each client has parts of its own and no global model exists."""
    place, errand = Place.of(context), ClientErrand.read(message.content)
    config, device = place.config, pick_device(place.config.runtime.device)
    unet = network(config.model, _keeper(place, errand).receive())
    with place.training():
        images = draw_images(
            unet,
            Diffusion(config.diffusion),
            errand.images,
            seed=config.seed,
            batch_size=config.evaluation.batch_size,
            device=device,
            autoencoder=autoencoder_of(config.model, device),
        )
    return Message(Drawing(place.name, images).write(), reply_to=message)


def _keeper(place: Place, order: TrainOrder | ClientErrand) -> Keeper:
    if order.edge not in homes(place.config.topology)[place.name]:  # it also names files
        raise MessageError(f"comes from {shortened(order.edge)}, which is no home of {place.name}")
    return Keeper(
        place.folder,
        place.config,
        order.download,
        edge=order.edge,
        root_round=order.root_round,
        edge_round=order.edge_round,
        pruning=order.pruning,
    )


def _objective(place: Place, order: TrainOrder, received: PackedModel, previous: PackedModel | None) -> Objective:
    config = place.config
    return Objective(
        config.objective,
        Diffusion(config.diffusion),
        order.sparse,
        received=_copy(place, received) if needs_received(config.objective) else None,
        previous=None if previous is None else _copy(place, previous),
        shared=order.download.shared,
    )


def _copy(place: Place, model: PackedModel) -> UNet:
    return copy.deepcopy(network(place.config.model, model))


def _control(unet: UNet, keeper: Keeper, order: TrainOrder) -> tuple[ControlVariates | None, PackedModel | None]:
    """Make the control variates that correct this U-Net's gradients (SCAFFOLD), and give c_k beside them."""
    if not keeper.config.objective.control_variates:
        return None, None
    c_k = keeper.control(keeper.received.structure)
    c = PackedModel.zeros(c_k.structure) if order.control is None else order.control.decode()
    return ControlVariates(unet, unpack(c), unpack(c_k)), c_k


def _control_change(
    control: ControlVariates | None, c_k: PackedModel | None, keeper: Keeper, order: TrainOrder
) -> CodedModel | None:
    if control is None or c_k is None or not order.final:
        return None
    return keeper.report_control(c_k, _ordered(control.result(), c_k), order.reports)


def _ordered(tensors: dict[str, Tensor], like: PackedModel) -> PackedModel:
    return pack({name: tensors[name] for name, _ in like.structure.tensors})


def _optimizer_store(place: Place, keeper: Keeper) -> OptimizerStore:
    """Keep this client's optimizer for as long as a resend or a resumed root can ask for it."""
    return OptimizerStore(place.folder, keeper.structure.id, keeper.starts)

"""The ClientApp: registers with its edge, trains the edge's model on its own images, and draws images for the root."""

from reprlib import repr as shortened

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from fedphd.client.edge_round import EdgeRound
from fedphd.client.histogram import reported_counts
from fedphd.client.keeping import Keeper
from fedphd.client.local_data import local_data
from fedphd.client.local_model import train_local_model
from fedphd.client.network import network
from fedphd.client.place import Place
from fedphd.common.averaging.homogeneity import told_samples
from fedphd.common.config.topology import homes
from fedphd.common.network.build import check_frozen
from fedphd.common.training.compute import pick_device
from fedphd.common.training.sampling import Sampler, all_alike
from fedphd.common.wire.messages import ClientErrand, Drawing, Profile, TrainOrder
from fedphd.common.wire.records import MessageError

app = ClientApp()


@app.query("register")
def register(message: Message, context: Context) -> Message:
    """Tell who this client is, how many images it has, and how their labels are distributed."""
    place = Place.of(context)
    check_frozen(place.config.model)
    counts = reported_counts(place.config, place.index, place.folder)
    classes = list(local_data(place.config, place.index).classes)
    profile = Profile(place.name, told_samples(counts), classes, counts)
    return Message(profile.write(), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the edge's model on this client's images and send back what is asked for of it."""
    place, order = Place.of(context), TrainOrder.read(message.content)
    update = EdgeRound(place, order, _keeper(place, order)).run()
    return Message(update.write(), reply_to=message)


@app.train("local")
def train_local(message: Message, context: Context) -> Message:
    """Train a model of this client's own, as if nobody else were there (FedDDPM's warm-up)."""
    place, errand = Place.of(context), ClientErrand.read(message.content)
    update = train_local_model(place, _keeper(place, errand))
    return Message(update.write(), reply_to=message)


@app.evaluate()
def draw(message: Message, context: Context) -> Message:
    """Draw images with this client's model, where each client has parts of its own and no global model exists."""
    place, errand = Place.of(context), ClientErrand.read(message.content)
    sampler = Sampler.of(place.config, pick_device(place.config))
    model, trained = _keeper(place, errand).to_draw_with()
    unet = network(place.config.model, model)
    with place.training():
        images = sampler.draw(unet, errand.images, labels=all_alike(place.config.model, errand.images))
    return Message(Drawing(place.name, images, trained).write(), reply_to=message)


def _keeper(place: Place, order: TrainOrder | ClientErrand) -> Keeper:
    if order.edge not in homes(place.config.topology)[place.name]:  # it also names files
        raise MessageError(f"comes from {shortened(order.edge)}, which is no home of {place.name}")
    return Keeper(place.folder, place.config, order)

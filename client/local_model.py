"""A model that a client trains as if nobody else were there (FedDDPM's warm-up)."""

from fedphd.client.histogram import reported_counts
from fedphd.client.keeping import Keeper
from fedphd.client.latents import training_set
from fedphd.client.network import network
from fedphd.client.objective import Objective, terms_of
from fedphd.client.place import Place
from fedphd.client.training import train
from fedphd.common.averaging.homogeneity import told_samples
from fedphd.common.config import Config, FineTuning
from fedphd.common.network.packing import pack
from fedphd.common.training.compute import pick_device
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import find_distance
from fedphd.common.training.seeding import derive_seed
from fedphd.common.training.session import Session
from fedphd.common.wire.links import standalone, upload
from fedphd.common.wire.messages import ClientUpdate


def train_local_model(place: Place, keeper: Keeper) -> ClientUpdate:
    """Train what came for `correction.local_epochs`, and report it whole; nothing is kept."""
    config, device = place.config, pick_device(place.config)
    unet = network(config.model, keeper.receive())
    epochs = FineTuning.narrow(config.correction, "correction").local_epochs
    training = config.training.model_copy(update={"epochs": epochs})
    session = Session(training, device, derive_seed(config.seed, "local", place.index))
    with place.training():
        result = train(unet, training_set(place, device), lone_objective(config), session)
    model = pack(unet.state_dict())
    return ClientUpdate(
        model=upload(model, model, standalone(config.codec.access.up), None)[0],
        client=place.name,
        edge_round=keeper.edge_round,
        samples=told_samples(reported_counts(config, place.index, place.folder)),
        loss=result.loss,
        seconds=result.seconds,
    )


def lone_objective(config: Config) -> Objective:
    """Give the objective without what looks at others or prepares a pruning: only the terms that say they stay."""
    terms = {name: term for name, term in terms_of(config.objective).items() if term.counts_alone}
    return Objective(find_distance(config.objective.loss), Diffusion(config.diffusion), terms)

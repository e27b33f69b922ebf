"""How good a model is for a client's own images: its loss on them, and whether generated ones are copies of them."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from fedphd.client.keeping import Keeper
from fedphd.client.latents import as_trained
from fedphd.client.local_data import LocalData, LocalImages, local_data
from fedphd.client.network import network
from fedphd.client.own_loss import OwnLoss
from fedphd.client.place import Place
from fedphd.common.data.images import Indices, Pixels
from fedphd.common.data.nearness import features_of, nearest, spacing
from fedphd.common.network import UNet
from fedphd.common.training.compute import pick_device
from fedphd.common.training.sampling import Sampler, all_alike
from fedphd.common.training.seeding import numpy_rng
from fedphd.common.wire.messages import Assessment, ClientErrand, Distances
from fedphd.common.wire.records import MessageError


@dataclass(frozen=True)
class Chosen:
    """Places of the images that are measured: of those held out, and of as many to train on, if there are so many."""

    held_out: Indices
    training: Indices


class Assessor:
    """Assesses a model for one client.

    Parameters
    ----------
    place : Place
        Where the client is.
    errand : ClientErrand
        What its edge asks for.
    keeper : Keeper
        Makes the model of what came, and of the client's own parts where it has such.
    """

    def __init__(self, place: Place, errand: ClientErrand, keeper: Keeper) -> None:
        self.place = place
        self.config = place.config
        self.errand = errand
        self.keeper = keeper
        self.device = pick_device(place.config)

    def run(self) -> Assessment:
        """Measure.

        Raises
        ------
        MessageError
            If generated images came that are of another shape than the client's own.
        MissingStateError
            If the client does not have its own parts.
        """
        data = local_data(self.config, self.place.index)
        unet = network(self.config.model, self.keeper.to_assess())
        chosen = self._choose(data)
        with self.place.training():
            held_out = data.held_out.pixels[chosen.held_out]
            loss = self._loss(unet, data.held_out, chosen.held_out)
            training_loss = self._loss(unet, data.train, chosen.training)
            distances = self._distances(unet, data, held_out) if self.errand.images and len(held_out) else None
        return Assessment(self.place.name, len(held_out), loss, training_loss, distances)

    def _choose(self, data: LocalData) -> Chosen:
        """Draw the images once for the whole run, so that rounds compare."""
        rng = numpy_rng(self.config.seed, "evaluation", "own images", self.place.index)
        held_out = rng.permutation(len(data.held_out.labels))[: self.config.evaluation.own_images]
        return Chosen(np.sort(held_out), np.sort(rng.permutation(len(data.labels))[: len(held_out)]))

    def _loss(self, unet: UNet, own: LocalImages, places: Indices) -> list[float]:
        if not len(places):
            return []
        images = as_trained(own.pixels[places], own.labels[places], self.place, self.device)
        return OwnLoss(self.config, self.place.index, self.device).by_time(unet, images)

    def _distances(self, unet: UNet, data: LocalData, held_out: Pixels) -> Distances:
        """Compare generated images, and those held out, with all that the client trains on."""
        generated = self._generated(unet)
        if generated.shape[1:] != data.images.shape[1:]:
            raise MessageError(f"generated images are {generated.shape[1:]}, this client's {data.images.shape[1:]}")
        name = self.config.evaluation.memorisation_features
        training = features_of(data.images, name, self.device)
        of_generated = self._near(features_of(generated, name, self.device), training)
        of_held_out = self._near(features_of(held_out, name, self.device), training)
        return Distances(*of_generated, *of_held_out)

    def _generated(self, unet: UNet) -> Pixels:
        """Take the root's images; without a global model, draw with the client's own, which stays here."""
        if self.errand.generated is not None:
            return self.errand.generated
        labels = all_alike(self.config.model, self.errand.images)
        return Sampler.of(self.config, self.device).draw(unet, self.errand.images, labels=labels)

    @staticmethod
    def _near(images: Tensor, training: Tensor) -> tuple[list[float], list[float], list[float]]:
        found = nearest(images, training)
        return found.distance.tolist(), found.ratio.tolist(), spacing(training, found.index).tolist()

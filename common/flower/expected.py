"""What clients give on errands, as the edge that gathers it and the root that fetches it may believe it."""

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from flwr.app import RecordDict

from fedphd.common.config import Config
from fedphd.common.flower.question import Incoming, Receipt
from fedphd.common.network.build import pixel_shape
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.training.time_bins import time_bins
from fedphd.common.wire.messages import ASSESS, DRAW, Assessment, ClientUpdate, Drawing
from fedphd.common.wire.records import MessageError

M = TypeVar("M", bound=Incoming)
A = TypeVar("A")


class Expected(ABC, Generic[M, A]):
    """What a client is expected to give; the methods are those of `Question`."""

    @abstractmethod
    def read(self, content: RecordDict) -> M:
        """Read what came."""

    @abstractmethod
    def check(self, message: M) -> A:
        """Check and decode what came."""

    @abstractmethod
    def receipt(self, message: M) -> Receipt:
        """Say what the ledger is to tell of it."""


class ExpectedModel(Expected[ClientUpdate, PackedModel]):
    """A model that a client trained for itself; its structure is that of the network."""

    def __init__(self, structure: Structure) -> None:
        self.structure = structure

    def read(self, content: RecordDict) -> ClientUpdate:
        """Read the update."""
        return ClientUpdate.read(content, self.structure)

    def check(self, message: ClientUpdate) -> PackedModel:
        """Decode the model, which is the only thing that is wanted."""
        if message.control is not None:
            raise MessageError("unasked change of control variates")
        return message.model.decode()

    def receipt(self, message: ClientUpdate) -> Receipt:
        """Tell of the model and its training."""
        return update_receipt(message)


class ExpectedDrawing(Expected[Drawing, Drawing]):
    """Images that a client drew; their shape is (n, C, H, W)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def read(self, content: RecordDict) -> Drawing:
        """Read the images."""
        return Drawing.read(content, self.shape)

    def check(self, message: Drawing) -> Drawing:
        """Take them as they are: any pixels are images."""
        return message

    def receipt(self, message: Drawing) -> Receipt:
        """Tell how large the images are, and which model drew them."""
        return Receipt(images=message.images.nbytes, facts={"trained": message.trained})


class ExpectedAssessment(Expected[Assessment, Assessment]):
    """What a client tells of a model: as many numbers as its own images, bins of times and generated images ask for.

    Parameters
    ----------
    config : Config
        The run's configuration.
    generated : int
        Generated images whose distances are asked for.
    """

    def __init__(self, config: Config, generated: int) -> None:
        self.most = config.evaluation.own_images
        self.bins = len(time_bins(config.diffusion.timesteps))
        self.generated = generated

    def read(self, content: RecordDict) -> Assessment:
        """Read the numbers."""
        return Assessment.read(content)

    def check(self, message: Assessment) -> Assessment:
        """Check how many numbers there are."""
        if message.images > self.most:
            raise MessageError(f"measured {message.images} images, more than evaluation.own_images={self.most}")
        bins = self.bins if message.images else 0
        self._check("loss", (message.loss, message.training_loss), bins)
        distances = message.distances
        if (distances is None) == bool(self.generated and message.images):
            raise MessageError("distances must come where, and only where, there are images to be compared")
        if distances is not None:
            self._check("distances of generated images", distances.of_generated, self.generated)
            self._check("distances of held-out images", distances.of_held_out, message.images)
        return message

    def receipt(self, message: Assessment) -> Receipt:  # noqa: ARG002
        """Tell nothing more: the root writes down what it makes of the numbers."""
        return Receipt()

    @staticmethod
    def _check(what: str, lists: tuple[list[float], ...], wanted: int) -> None:
        for numbers in lists:
            if len(numbers) != wanted:
                raise MessageError(f"{what}: {len(numbers)} numbers instead of {wanted}")


def expected(task: str, structure: Structure, config: Config, images: int) -> Expected[Any, Any]:
    """Say what clients are expected to give for a task.

    Parameters
    ----------
    task : str
        The message type: LOCAL, DRAW or ASSESS.
    structure : Structure
        Of the whole network that they work with.
    config : Config
        The run's configuration.
    images : int
        How many each is to draw, or to compare.
    """
    if task == ASSESS:
        return ExpectedAssessment(config, images)
    return ExpectedDrawing((images, *pixel_shape(config.model))) if task == DRAW else ExpectedModel(structure)


def update_receipt(update: ClientUpdate) -> Receipt:
    """Say what the ledger is to tell of a client's update."""
    facts = {"samples": update.samples, "loss": update.loss, "seconds": round(update.seconds, 3)}
    return Receipt(update.models, facts=facts)

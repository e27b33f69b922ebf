"""What clients give on errands, as the edge that gathers it and the root that fetches it may believe it."""

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from flwr.app import RecordDict

from fedphd.common.config import ModelConfig
from fedphd.common.flower.question import Incoming, Receipt
from fedphd.common.network.build import pixel_shape
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.wire.messages import DRAW, ClientUpdate, Drawing
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


def expected(task: str, structure: Structure, model: ModelConfig, images: int) -> Expected[Any, Any]:
    """Say what clients are expected to give for a task.

    Parameters
    ----------
    task : str
        The message type: LOCAL or DRAW.
    structure : Structure
        Of the whole network that they work with.
    model : ModelConfig
        The network's options.
    images : int
        How many each is to draw.
    """
    return ExpectedDrawing((images, *pixel_shape(model))) if task == DRAW else ExpectedModel(structure)


def update_receipt(update: ClientUpdate) -> Receipt:
    """Say what the ledger is to tell of a client's update."""
    facts = {"samples": update.samples, "loss": update.loss, "seconds": round(update.seconds, 3)}
    return Receipt(update.models, facts=facts)

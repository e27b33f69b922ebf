"""What a whole run costs, in the words of the papers: bytes at the root and on all hops, client epochs, computation."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from fedphd.common.config import Config
from fedphd.common.wire.traffic import total
from fedphd.launch.cost.replay import Lanes
from fedphd.server.assignment import Assignment
from fedphd.server.registry import Registry


@dataclass(frozen=True)
class Costs:
    """What a run without faults costs; `fedphd compare` has the same columns.

    Attributes
    ----------
    root_bytes : int
        Payload to and from the root: that of the backbone, or of everything where there are no edges.
    bytes : int
        Payload of all hops.
    client_epochs : int
        Passes of clients over all their own images: E for each client in each edge round that it trains in.
    image_passes : int or None
        Images that clients train on, once for each pass; None where nobody knows here who has how many.
    forward_macs : int or None
        Multiply-accumulates of one forward pass of the network of the time, dense or pruned, for each of these. A
        training pass is about three forward passes.
    """

    root_bytes: int
    bytes: int
    client_epochs: int
    image_passes: int | None
    forward_macs: int | None

    def shares(self, whole: "Costs") -> dict[str, float | None]:
        """Give each cost as a share of another run's; None if one is not known."""
        of = asdict(whole)
        return {key: None if one is None or not of[key] else one / of[key] for key, one in asdict(self).items()}


def sum_costs(
    config: Config, lanes: Lanes, plans: Sequence[Sequence[Assignment]], images: Registry | None, macs: Sequence[int]
) -> Costs:
    """Add up what a run costs.

    Parameters
    ----------
    config : Config
        The run's.
    lanes : Lanes
        What it sends in all.
    plans : Sequence[Sequence[Assignment]]
        Who trains where, for each root round.
    images : Registry or None
        Who has how many images; None if that is not known.
    macs : Sequence[int]
        Multiply-accumulates of the network that each root round trains, for one image.
    """
    epochs = config.training.epochs
    trained = [[client for one in plan for clients in one.values() for client in clients] for plan in plans]
    passes = None
    if images is not None:
        passes = [epochs * sum(images.profiles[client].samples for client in clients) for clients in trained]
    everything = total(lanes.values()).bytes
    backbone = lanes["backbone_down"].bytes + lanes["backbone_up"].bytes
    return Costs(
        root_bytes=backbone if config.topology.edges else everything,
        bytes=everything,
        client_epochs=epochs * sum(map(len, trained)),
        image_passes=None if passes is None else sum(passes),
        forward_macs=None if passes is None else sum(one * each for one, each in zip(passes, macs, strict=True)),
    )

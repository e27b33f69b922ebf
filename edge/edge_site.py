"""What all work of an edge needs to know of the edge."""

from dataclasses import dataclass

from fedphd.common.config import Config
from fedphd.common.flower.boundary import Boundary
from fedphd.common.run.hop_log import HopLog
from fedphd.common.wire.links import Downlink
from fedphd.edge.membership import Membership


@dataclass(frozen=True)
class EdgeSite:
    """An edge: who it is, who its clients are, and how it reaches them.

    Attributes
    ----------
    edge : str
        The edge's id.
    config : Config
        The run's configuration.
    membership : Membership
        The edge's clients.
    downlink : Downlink
        What the clients were sent.
    boundary : Boundary
        Towards the clients.
    """

    edge: str
    config: Config
    membership: Membership
    downlink: Downlink
    boundary: Boundary

    @property
    def log(self) -> HopLog:
        """Where what crosses the hop to the clients is written."""
        return self.boundary.log

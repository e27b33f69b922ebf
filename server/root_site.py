"""What all work of the root with its edges needs to know."""

from dataclasses import dataclass

from fedphd.common.config import Config
from fedphd.common.flower.boundary import Boundary
from fedphd.common.run.hop_log import HopLog
from fedphd.common.wire.links import Downlink
from fedphd.server.registry import Registry
from fedphd.server.state import GlobalState


@dataclass(frozen=True)
class RootSite:
    """The root: where it is in the run, who takes part, and how it reaches them.

    Attributes
    ----------
    config : Config
        The run's configuration.
    registry : Registry
        Edges and clients.
    state : GlobalState
        Where the run is, and where traffic is counted.
    downlink : Downlink
        What the edges were sent.
    boundary : Boundary
        Towards the edges.
    """

    config: Config
    registry: Registry
    state: GlobalState
    downlink: Downlink
    boundary: Boundary

    @property
    def log(self) -> HopLog:
        """Where what crosses the backbone is written."""
        return self.boundary.log

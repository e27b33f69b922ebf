"""Who can talk to whom (`conf/topology/`): the names of clients and edges, and the homes of each client."""

from collections import deque
from typing import TYPE_CHECKING, Annotated

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from fedphd.common.choices import Affects, Section
from fedphd.common.config.types import Share
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from fedphd.common.config.schema import Config

EDGE_SLACK = 60.0  # seconds for an edge to send, average and answer in an edge round, beyond its wait for clients


class TopologyConfig(Section):
    """Clients, edges and the rounds between them."""

    clients: PositiveInt
    edges: NonNegativeInt  # 0: flat, the clients talk to the root
    edge_rounds: PositiveInt
    participation: Share
    homes: list[list[NonNegativeInt]] | None
    quorum: Annotated[Share, Affects.COURSE]
    round_timeout: Annotated[PositiveFloat, Affects.COURSE]
    rejoin_timeout: Annotated[NonNegativeFloat, Affects.COURSE]

    def check(self, _config: "Config") -> None:
        """Check that every edge and client has somebody to talk to."""
        if self.edges > self.clients:
            advice = f"more edges than clients; use at most topology.clients={self.clients}"
            raise SettingError("topology.edges", self.edges, advice)
        if self.homes is not None:
            self._check_homes(self.homes)

    def _check_homes(self, homes: list[list[int]]) -> None:
        if len(homes) != self.clients:
            raise SettingError("topology.homes", homes, f"needs one list of edges for each of {self.clients} clients")
        edges = max(self.edges, 1)
        for client, own in enumerate(homes):
            if not own or max(own) >= edges or len(set(own)) < len(own):
                advice = f"must name at least one edge from 0 to {edges - 1}, each once"
                raise SettingError(f"topology.homes[{client}]", own, advice)
        lonely = set(range(self.edges)) - {edge for own in homes for edge in own}
        if lonely:
            raise SettingError("topology.homes", homes, f"no client can reach edge {min(lonely)}")


def client_id(index: int) -> str:
    """Name the client that holds part `index` of the partition."""
    return f"client-{index}"


def edge_id(index: int) -> str:
    """Name an edge."""
    return f"edge-{index}"


def edge_ids(topology: TopologyConfig) -> list[str]:
    """Name all edges. A flat topology has one, which lives within the root."""
    return [edge_id(index) for index in range(max(topology.edges, 1))]


def homes(topology: TopologyConfig) -> dict[str, list[str]]:
    """Map each client's name to the edges that it can reach, its first home first."""
    if topology.homes is None:
        # Every edge is a home; the first ones go round, so that `assignment=fixed` spreads the clients.
        edges = deque(edge_ids(topology))
        every = {}
        for index in range(topology.clients):
            every[client_id(index)] = list(edges)
            edges.rotate(-1)
        return every
    return {client_id(index): [edge_id(edge) for edge in edges] for index, edges in enumerate(topology.homes)}


def members(topology: TopologyConfig, edge: str) -> list[str]:
    """Name the clients that can reach an edge, in the order of their indices."""
    return [client for client, edges in homes(topology).items() if edge in edges]


def edge_timeout(topology: TopologyConfig) -> float:
    """Seconds that an edge may take for a root round: each edge round may use its whole timeout."""
    return topology.edge_rounds * (topology.round_timeout + EDGE_SLACK)

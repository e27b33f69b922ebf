"""Who takes part: the edges' nodes, and every client's label distribution and homes."""

import json
from dataclasses import dataclass
from pathlib import Path

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from common.errors import FedPhDError
from common.flower.grids import exchange
from common.homogeneity import Distribution, distribution
from common.messages import REGISTER, Profile, Roster
from common.records import MessageError


class RegistrationError(FedPhDError):
    """An edge did not tell its clients, or the tiers disagree about them."""


@dataclass(frozen=True)
class Registry:
    """Edges and clients as they registered.

    Attributes
    ----------
    nodes : dict[str, int]
        Flower node of each edge, in the order of the edges' names in the topology.
    profiles : dict[str, Profile]
        What each client told, in the order of their indices.
    homes : dict[str, list[str]]
        The edges at which each client registered.
    """

    nodes: dict[str, int]
    profiles: dict[str, Profile]
    homes: dict[str, list[str]]

    @property
    def classes(self) -> list[str]:
        """Names of the classes that the clients' label counts distinguish."""
        return next(iter(self.profiles.values())).classes

    def distribution(self, client: str) -> Distribution:
        """q_k: the client's label distribution, shape (classes,)."""
        return distribution(self.profiles[client].counts)

    def save(self, path: Path) -> None:
        """Write label counts and homes as JSON, for the report."""
        clients = {
            client: {"counts": profile.counts, "homes": self.homes[client]} for client, profile in self.profiles.items()
        }
        path.write_text(json.dumps({"class_names": self.classes, "clients": clients}), encoding="utf-8")


def register(grid: Grid, edges: list[str], clients: list[str], timeout: float) -> Registry:
    """Ask every edge for its roster.

    Parameters
    ----------
    grid : Grid
        Its nodes are the edges.
    edges, clients : list[str]
        The names that the topology expects.
    timeout : float
        Seconds to wait for the edges, which wait for their clients.

    Raises
    ------
    RegistrationError
        If an edge fails, is missing or there twice, a client is missing, or tells two edges different things.
    """
    nodes: dict[str, int] = {}
    profiles: dict[str, Profile] = {}
    homes: dict[str, list[str]] = {}
    queries = [Message(RecordDict(), node, REGISTER) for node in grid.get_node_ids()]
    for reply in exchange(grid, queries, timeout):
        roster = _roster(reply)
        if roster.edge in nodes:
            raise RegistrationError(f"two nodes say that they are {roster.edge}")
        nodes[roster.edge] = reply.metadata.src_node_id
        for profile in roster.profiles:
            if profiles.setdefault(profile.client, profile) != profile:
                raise RegistrationError(f"{profile.client} told {roster.edge} something else than its other edges")
            homes.setdefault(profile.client, []).append(roster.edge)
    if len({tuple(profile.classes) for profile in profiles.values()}) > 1:
        raise RegistrationError("the clients do not have the same classes")
    missing = [name for name in [*edges, *clients] if name not in nodes and name not in profiles]
    if missing:
        raise RegistrationError(f"not registered: {', '.join(missing)}")
    return Registry(
        nodes={edge: nodes[edge] for edge in edges},
        profiles={client: profiles[client] for client in clients},
        homes={client: [edge for edge in edges if edge in homes[client]] for client in clients},
    )


def _roster(reply: Message) -> Roster:
    if reply.has_error():
        raise RegistrationError(f"an edge could not register: {reply.error.reason}")
    try:
        return Roster.read(reply.content)
    except MessageError as error:
        raise RegistrationError(f"an edge's roster cannot be used: {error}") from None

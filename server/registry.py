"""Who takes part: the edges' nodes, and every client's label distribution and homes."""

import json
from dataclasses import dataclass
from pathlib import Path

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from common.errors import RegistrationError
from common.flower.grids import exchange
from common.homogeneity import Distribution, distribution
from common.messages import REGISTER, Profile, Roster
from common.records import MessageError


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
        The edges at which each client registered, its first home first.
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


def register(grid: Grid, edges: list[str], homes: dict[str, list[str]], timeout: float) -> Registry:
    """Ask every edge for its roster.

    Parameters
    ----------
    grid : Grid
        Its nodes are the edges.
    edges : list[str]
        The edges that the topology expects.
    homes : dict[str, list[str]]
        The clients that it expects, each with its edges, its first home first.
    timeout : float
        Seconds to wait for the edges, which wait for their clients.

    Raises
    ------
    RegistrationError
        If an edge fails, is missing or there twice, a client is missing, or tells two edges different things.
    """
    nodes: dict[str, int] = {}
    profiles: dict[str, Profile] = {}
    seen: dict[str, list[str]] = {}
    queries = [Message(RecordDict(), node, REGISTER) for node in grid.get_node_ids()]
    for reply in exchange(grid, queries, timeout):
        roster = _roster(reply)
        if roster.edge in nodes:
            raise RegistrationError(f"two nodes say that they are {roster.edge}")
        nodes[roster.edge] = reply.metadata.src_node_id
        for profile in roster.profiles:
            if profiles.setdefault(profile.client, profile) != profile:
                raise RegistrationError(f"{profile.client} told {roster.edge} something else than its other edges")
            seen.setdefault(profile.client, []).append(roster.edge)
    if len({tuple(profile.classes) for profile in profiles.values()}) > 1:
        raise RegistrationError("the clients do not have the same classes")
    missing = [name for name in [*edges, *homes] if name not in nodes and name not in profiles]
    if missing:
        raise RegistrationError(f"not registered: {', '.join(missing)}")
    return Registry(
        nodes={edge: nodes[edge] for edge in edges},
        profiles={client: profiles[client] for client in homes},
        homes={client: [edge for edge in own if edge in seen[client]] for client, own in homes.items()},
    )


def _roster(reply: Message) -> Roster:
    if reply.has_error():
        raise RegistrationError(f"an edge could not register: {reply.error.reason}")
    try:
        return Roster.read(reply.content)
    except MessageError as error:
        raise RegistrationError(f"an edge's roster cannot be used: {error}") from None

"""Who takes part: the edges' nodes, and every client's label distribution and homes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedphd.common.averaging.homogeneity import Distribution, distribution
from fedphd.common.config import TopologyConfig
from fedphd.common.config.topology import edge_ids, edge_timeout, homes
from fedphd.common.errors import RegistrationError
from fedphd.common.flower.delivery import Patience
from fedphd.common.flower.roll_call import RollCall
from fedphd.common.run.events import Resend
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.messages import Profile, Roster


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

    @cached_property
    def mean_samples(self) -> float:
        """n_bar: mean number of images of a client, over all clients."""
        return fmean(profile.samples for profile in self.profiles.values())

    def distribution(self, client: str) -> Distribution:
        """q_k: the client's label distribution, shape (classes,)."""
        return distribution(self.profiles[client].counts)

    def edge_at(self, node: int) -> str:
        """Name the edge that is this Flower node."""
        return next(edge for edge, own in self.nodes.items() if own == node)

    def save(self, path: Path) -> None:
        """Write label counts and homes as JSON, for the report."""
        clients = {
            client: {"counts": profile.counts, "homes": self.homes[client]} for client, profile in self.profiles.items()
        }
        path.write_text(json.dumps({"class_names": self.classes, "clients": clients}), encoding="utf-8")


def register(grid: Grid, topology: TopologyConfig, ledger: Ledger) -> Registry:
    """Ask every edge for its roster, as the edges come.

    Parameters
    ----------
    grid : Grid
        Its nodes are the edges.
    topology : TopologyConfig
        Says which edges and clients to expect. Edges may take `round_timeout` for their clients, and the
        time of a root round until they come.
    ledger : Ledger
        Takes the events that edges send along.

    Raises
    ------
    RegistrationError
        If an edge fails or is missing, a client is missing, or tells two edges different things.
    """
    edges, expected = edge_ids(topology), homes(topology)
    timeout = topology.round_timeout + edge_timeout(topology)  # a gateway may still be busy with a lost root's order
    call = RollCall("root", edges, _edge_and_roster, failures=1, query_timeout=timeout)
    call.run(grid, timeout, Patience(topology.rejoin_timeout, _resent(ledger)))
    profiles: dict[str, Profile] = {}
    seen: dict[str, list[str]] = {}
    for edge in edges:
        ledger.take_forwarded(edge, call.answers[edge].events)
        for profile in call.answers[edge].profiles:
            if profiles.setdefault(profile.client, profile) != profile:
                raise RegistrationError(f"{profile.client} told {edge} something else than it told its other edges")
            seen.setdefault(profile.client, []).append(edge)
    if len({tuple(profile.classes) for profile in profiles.values()}) > 1:
        raise RegistrationError("the clients do not have the same classes")
    missing = [client for client in expected if client not in profiles]
    if missing:
        raise RegistrationError(f"not registered: {', '.join(missing)}")
    return Registry(
        nodes={edge: call.nodes[edge] for edge in edges},
        profiles={client: profiles[client] for client in expected},
        homes={client: [edge for edge in own if edge in seen[client]] for client, own in expected.items()},
    )


def _resent(ledger: Ledger) -> Callable[[Message, str], None]:
    def resent(message: Message, reason: str) -> None:
        ledger.write(Resend(peer=f"node {message.metadata.dst_node_id}", reason=reason))

    return resent


def _edge_and_roster(content: RecordDict) -> tuple[str, Roster]:
    roster = Roster.read(content)
    return roster.edge, roster

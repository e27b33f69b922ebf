"""Who takes part: the edges' nodes, and every client's label distribution and homes."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from reprlib import repr as shortened
from statistics import fmean

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedphd.common.averaging.homogeneity import Distribution, distribution
from fedphd.common.averaging.weighting import SamplesWeighting
from fedphd.common.config import TiersWeighting, TopologyConfig
from fedphd.common.config.topology import edge_ids, edge_timeout, homes
from fedphd.common.data.class_doubts import doubts
from fedphd.common.data.class_list import common_classes, over
from fedphd.common.errors import RegistrationError
from fedphd.common.flower.delivery import Patience
from fedphd.common.flower.roll_call import RollCall, check_able
from fedphd.common.run.events import Note, Resend
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
        What each client told, in the order of their indices; all over the same classes (`over_common_classes`).
    homes : dict[str, list[str]]
        The edges at which each client registered, its first home first.
    told : Mapping[str, Sequence[str]]
        The classes over which an edge tells label shares, where it does not know all classes of the run.
    """

    nodes: dict[str, int]
    profiles: dict[str, Profile]
    homes: dict[str, list[str]]
    told: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Names of the classes that the clients' label counts distinguish."""
        return next(iter(self.profiles.values())).classes

    def told_by(self, edge: str) -> Sequence[str]:
        """Give the classes over which an edge tells label shares."""
        return self.told.get(edge, self.classes)

    def shares(self, edge: str, q: Sequence[float]) -> list[float]:
        """Tell an edge's label shares over all classes of the run."""
        return [float(share) for share in over(self.classes, self.told_by(edge), q)]

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


def over_common_classes(profiles: Mapping[str, Profile]) -> dict[str, Profile]:
    """Tell all label counts over one list of classes: a client has no image of a class that it does not name."""
    classes = common_classes(profile.classes for profile in profiles.values())
    return {
        client: replace(
            profile,
            classes=classes,
            counts=[float(count) for count in over(classes, profile.classes, profile.counts)],
        )
        for client, profile in profiles.items()
    }


def register(
    grid: Grid, topology: TopologyConfig, ledger: Ledger, classes: Sequence[str] | None = None, *, alike: bool = False
) -> Registry:
    """Ask every edge for its roster, as the edges come.

    Parameters
    ----------
    grid : Grid
        Its nodes are the edges.
    topology : TopologyConfig
        Says which edges and clients to expect. Edges may take `round_timeout` for their clients, and the
        time of a root round until they come.
    ledger : Ledger
        Takes the events that edges send along, what clients noted of their images, and which of them seem to call one
        class by two names.
    classes : Sequence[str], optional
        The classes that all clients must name (`data.classes`); without, they agree on those of all.
    alike : bool
        Whether all must name the same classes in the same order, as where one set is split (`Partition.splits`):
        clients whose copies of it differ would hold parts that overlap.

    Raises
    ------
    RegistrationError
        If an edge fails or is missing, a client is missing, cannot take part, names classes that it must not, or tells
        two edges different things.
    """
    edges, expected = edge_ids(topology), homes(topology)
    timeout = topology.round_timeout + edge_timeout(topology)  # a gateway may still be busy with a lost root's order
    call = RollCall("root", edges, _edge_and_roster, 1, timeout, lambda roster: bool(roster.unable), at_once=True)
    call.run(grid, timeout, Patience(topology.rejoin_timeout, _resent(ledger)))
    profiles: dict[str, Profile] = {}
    seen: dict[str, list[str]] = {}
    check_able(list({one.client: one for roster in call.answers.values() for one in roster.unable}.values()))
    for edge in edges:
        ledger.take_forwarded(edge, call.answers[edge].events)
        for profile in call.answers[edge].profiles:
            if profiles.setdefault(profile.client, profile) != profile:
                raise RegistrationError(f"{profile.client} told {edge} something else than it told its other edges")
            seen.setdefault(profile.client, []).append(edge)
    missing = [client for client in expected if client not in profiles]
    if missing:
        raise RegistrationError(f"not registered: {', '.join(missing)}")
    ours = {client: profiles[client] for client in expected}
    _check_classes(ours, classes)
    if alike:
        _check_alike(ours)
    doubtful = doubts({client: profile.classes for client, profile in ours.items()})
    for client, profile in ours.items():
        for note in (*profile.notes, *doubtful[client]):
            ledger.write(Note(peer=client, text=note))
    return Registry(
        nodes={edge: call.nodes[edge] for edge in edges},
        profiles=over_common_classes(ours),
        homes={client: [edge for edge in own if edge in seen[client]] for client, own in expected.items()},
        told={
            edge: common_classes(profile.classes for profile in call.answers[edge].profiles)
            for edge in edges
            if call.answers[edge].profiles
        },
    )


def check_compared(registry: Registry, weighting: TiersWeighting) -> None:
    """Check that an edge which weighs its clients by their labels does so over all classes.

    Raises
    ------
    RegistrationError
        If an edge knows fewer classes than there are, and `weighting.edge` looks at label shares.
    """
    if isinstance(weighting.edge, SamplesWeighting):
        return
    for edge in registry.nodes:
        lacking = set(registry.classes) - set(registry.told_by(edge))
        if lacking:
            choice = f"weighting.edge.kind={weighting.edge.kind}"
            raise RegistrationError(
                f"no client of {edge} has images of class {min(lacking)}, and {choice} compares labels "
                "over all classes: give all of them by data.classes"
            )


def _check_classes(profiles: Mapping[str, Profile], classes: Sequence[str] | None) -> None:
    """Check that clients name the given classes, if any are given."""
    for client, profile in profiles.items():
        strange = [name for name in profile.classes if classes is not None and name not in classes]
        if strange or (classes is not None and len(profile.classes) < len(classes)):
            what = f"names the class {shortened(strange[0])}" if strange else "does not name all classes"
            raise RegistrationError(f"{client} {what}, and data.classes is {', '.join(classes or ())}")


def _check_alike(profiles: Mapping[str, Profile]) -> None:
    """Check that all clients name the same classes in the same order."""
    first, *others = profiles.values()
    for other in others:
        for own, its in zip_longest(other.classes, first.classes):
            if own != its:
                raise RegistrationError(
                    f"{other.client} names {_class(own)} where {first.client} names {_class(its)}, and clients that "
                    "share one set need the same copy of it: give all the same images, or each its own with "
                    "partition=own"
                )


def _class(name: str | None) -> str:
    return "no further class" if name is None else f"the class {shortened(name)}"


def _resent(ledger: Ledger) -> Callable[[Message, str], None]:
    def resent(message: Message, reason: str) -> None:
        ledger.write(Resend(peer=f"node {message.metadata.dst_node_id}", reason=reason))

    return resent


def _edge_and_roster(content: RecordDict) -> tuple[str, Roster]:
    roster = Roster.read(content)
    return roster.edge, roster

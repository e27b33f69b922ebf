"""Which clients an edge has, and at which Flower node each of them is."""

import json
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

from flwr.app import RecordDict
from flwr.serverapp import Grid

from fedphd.common.averaging.homogeneity import Distribution, distribution
from fedphd.common.config import TopologyConfig
from fedphd.common.config.topology import members
from fedphd.common.errors import RegistrationError
from fedphd.common.flower.delivery import Patience
from fedphd.common.flower.roll_call import RollCall
from fedphd.common.keeping.private_files import write_private
from fedphd.common.wire.messages import Profile

FAILURES = 3  # times that a client may fail before registration does
QUERY_TIMEOUT = 300.0  # seconds after which a client that is still silent, perhaps decoding its images, is asked again


class Membership:
    """The clients of one edge.

    Parameters
    ----------
    edge : str
        The edge's id.
    topology : TopologyConfig
        Says which clients to expect.
    file : Path, optional
        Keeps who registered, so that an edge that is started again knows them; nodes must have
        keys then, since without one a restarted client is another node.
    """

    def __init__(self, edge: str, topology: TopologyConfig, file: Path | None = None) -> None:
        self.edge = edge
        self.expected = members(topology, edge)
        self.timeout = topology.round_timeout
        self.file = file
        self._call = RollCall(edge, self.expected, _name_and_profile, FAILURES, QUERY_TIMEOUT)
        if file is not None and file.exists():
            self._restore(json.loads(file.read_text(encoding="utf-8")))

    @property
    def profiles(self) -> dict[str, Profile]:
        """What each client told."""
        return self._call.answers

    @property
    def nodes(self) -> dict[str, int]:
        """The Flower node of each client."""
        return self._call.nodes

    @property
    def complete(self) -> bool:
        """Whether every expected client has registered."""
        return not self._call.missing

    @property
    def number_of_classes(self) -> int:
        """Number of classes that the clients' label counts distinguish."""
        return len(next(iter(self.profiles.values())).classes)

    @property
    def mean_samples(self) -> float:
        """n_bar: mean number of images of a client, over those that can reach this edge."""
        return fmean(profile.samples for profile in self.profiles.values())

    def distribution(self, client: str) -> Distribution:
        """q_k: the client's label distribution, shape (classes,)."""
        return distribution(self.profiles[client].counts)

    def register(self, grid: Grid, patience: Patience | None = None) -> None:
        """Ask the grid's nodes who they are until every expected client has answered.

        Raises
        ------
        RegistrationError
            If a client fails again and again, `topology.round_timeout` is over before, or the clients' classes differ.
        """
        self._call.run(grid, self.timeout, patience)
        if len({tuple(profile.classes) for profile in self.profiles.values()}) > 1:
            raise RegistrationError(f"{self.edge}: its clients do not have the same classes")
        if self.file is not None:
            known = {name: {"node": node, "profile": asdict(self.profiles[name])} for name, node in self.nodes.items()}
            write_private(self.file, json.dumps(known).encode())

    def _restore(self, known: dict[str, dict[str, object]]) -> None:
        for name, one in known.items():
            self.profiles[name] = Profile(**one["profile"])  # type: ignore[arg-type]
            self.nodes[name] = int(str(one["node"]))


def _name_and_profile(content: RecordDict) -> tuple[str, Profile]:
    profile = Profile.read(content)
    return profile.client, profile

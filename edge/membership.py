"""Which clients an edge has, and at which Flower node each of them is."""

import json
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from statistics import fmean

from flwr.app import RecordDict
from flwr.serverapp import Grid

from fedphd.common.averaging.homogeneity import Distribution, distribution
from fedphd.common.config import TopologyConfig
from fedphd.common.config.topology import members
from fedphd.common.data.class_list import common_classes, over
from fedphd.common.flower.delivery import Patience
from fedphd.common.flower.roll_call import RollCall
from fedphd.common.keeping.private_files import write_private
from fedphd.common.wire.messages import Profile, Unable, read_answer

FAILURES = 3  # times that a client may fail before registration does
QUERY_TIMEOUT = 300.0  # seconds for a client to load its data and answer


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
        self._call = RollCall(edge, self.expected, _name_and_answer, FAILURES, QUERY_TIMEOUT, _is_unable)
        if file is not None and file.exists():
            self._restore(json.loads(file.read_text(encoding="utf-8")))

    @property
    def profiles(self) -> dict[str, Profile]:
        """What each client told that can take part."""
        return {name: one for name, one in self._call.answers.items() if isinstance(one, Profile)}

    @property
    def unable(self) -> list[Unable]:
        """The clients that cannot take part, in the order of their names in the topology."""
        answers = (self._call.answers.get(name) for name in self.expected)
        return [one for one in answers if isinstance(one, Unable)]

    @property
    def nodes(self) -> dict[str, int]:
        """The Flower node of each client."""
        return self._call.nodes

    @property
    def complete(self) -> bool:
        """Whether every expected client has registered and can take part."""
        return not self._call.missing and not self.unable

    @cached_property
    def classes(self) -> list[str]:
        """The classes over which the edge tells label shares: those of its clients together, once all are known."""
        profiles = self.profiles
        return common_classes(profiles[client].classes for client in self.expected)

    @property
    def mean_samples(self) -> float:
        """n_bar: mean number of images of a client, over those that can reach this edge."""
        return fmean(profile.samples for profile in self.profiles.values())

    def distribution(self, client: str) -> Distribution:
        """q_k: the client's label distribution, shape (classes,), over the edge's classes."""
        profile = self.profiles[client]
        return distribution(over(self.classes, profile.classes, profile.counts))

    def register(self, grid: Grid, patience: Patience | None = None) -> None:
        """Ask the grid's nodes who they are until every expected client has answered, or one that it cannot take part.

        Those that could not before are asked again.

        Raises
        ------
        RegistrationError
            If a client fails again and again, or `topology.round_timeout` is over before.
        """
        for one in self.unable:
            del self._call.answers[one.client], self._call.nodes[one.client]
        self._call.run(grid, self.timeout, patience)
        if self.file is not None and self.complete:
            profiles = self.profiles
            known = {name: {"node": node, "profile": asdict(profiles[name])} for name, node in self.nodes.items()}
            write_private(self.file, json.dumps(known).encode())

    def _restore(self, known: dict[str, dict[str, object]]) -> None:
        for name, one in known.items():
            self._call.answers[name] = Profile(**one["profile"])  # type: ignore[arg-type]
            self.nodes[name] = int(str(one["node"]))


def _name_and_answer(content: RecordDict) -> tuple[str, Profile | Unable]:
    answer = read_answer(content)
    return answer.client, answer


def _is_unable(answer: Profile | Unable) -> bool:
    return isinstance(answer, Unable)

"""Which clients an edge has, and at which Flower node each of them is."""

import logging
import time
from collections import Counter

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from common.config import TopologyConfig
from common.errors import RegistrationError
from common.flower.grids import exchange
from common.homogeneity import Distribution, distribution
from common.messages import REGISTER, Profile
from common.records import MessageError
from common.topology import members

NODE_POLL = 0.5  # seconds between looks for clients that have not connected yet
PATIENCE = 3  # times that a client may fail before registration does
QUERY_TIMEOUT = 300.0  # seconds for a client to load its data and answer

log = logging.getLogger(__name__)


class Membership:
    """The clients of one edge.

    Parameters
    ----------
    edge : str
        The edge's id.
    topology : TopologyConfig
        Says which clients to expect.
    """

    def __init__(self, edge: str, topology: TopologyConfig) -> None:
        self.edge = edge
        self.expected = members(topology, edge)
        self.timeout = topology.round_timeout
        self.profiles: dict[str, Profile] = {}
        self.nodes: dict[str, int] = {}
        self._troubles: dict[int, str] = {}
        self._failures: Counter[int] = Counter()

    @property
    def complete(self) -> bool:
        """Whether every expected client has registered."""
        return set(self.profiles) == set(self.expected)

    @property
    def number_of_classes(self) -> int:
        """Number of classes that the clients' label counts distinguish."""
        return len(next(iter(self.profiles.values())).classes)

    def distribution(self, client: str) -> Distribution:
        """q_k: the client's label distribution, shape (classes,)."""
        return distribution(self.profiles[client].counts)

    def register(self, grid: Grid) -> None:
        """Ask the grid's nodes who they are until every expected client has answered.

        Raises
        ------
        RegistrationError
            If a client fails again and again, `topology.round_timeout` is over before, or the clients' classes differ.
        """
        deadline = time.monotonic() + self.timeout
        asked: set[int] = set()
        while not self.complete:
            new = set(grid.get_node_ids()) - asked
            asked |= self._ask(grid, new, min(QUERY_TIMEOUT, deadline - time.monotonic()))
            if not self.complete and time.monotonic() > deadline:
                missing = [client for client in self.expected if client not in self.profiles]
                told = "".join(f"; node {node} answered: {reason}" for node, reason in self._troubles.items())
                raise RegistrationError(
                    f"{self.edge}: {', '.join(missing)} did not register within {self.timeout:g} s{told}"
                )
            if not self.complete:
                time.sleep(NODE_POLL)
        if len({tuple(profile.classes) for profile in self.profiles.values()}) > 1:
            raise RegistrationError(f"{self.edge}: its clients do not have the same classes")

    def _ask(self, grid: Grid, nodes: set[int], timeout: float) -> set[int]:
        """Ask nodes for their profiles; return those that answered, so that the others are asked again."""
        answered = set()
        queries = [Message(RecordDict(), node, REGISTER) for node in sorted(nodes)]
        for reply in exchange(grid, queries, timeout):
            node = reply.metadata.src_node_id
            if reply.has_error():
                self._note_failure(node, str(reply.error.reason))
                continue
            answered.add(node)
            try:
                profile = Profile.read(reply.content)
            except MessageError as error:
                self._troubles[node] = str(error)
                continue
            if profile.client in self.profiles:
                log.warning("%s: node %d says that it is %s too", self.edge, node, profile.client)
            elif profile.client in self.expected:
                self.profiles[profile.client] = profile
                self.nodes[profile.client] = node
        return answered

    def _note_failure(self, node: int, reason: str) -> None:
        """Remember why a client failed: it may only be starting, and is asked again, but not for ever."""
        self._troubles[node] = reason
        self._failures[node] += 1
        log.warning("%s: node %d could not register: %s", self.edge, node, reason)
        if self._failures[node] == PATIENCE:
            raise RegistrationError(f"{self.edge}: the client at node {node} failed {PATIENCE} times: {reason}")

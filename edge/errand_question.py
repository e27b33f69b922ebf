"""What an edge asks of single clients for the root."""

from collections.abc import Mapping
from typing import TypeVar

from flwr.app import RecordDict

from fedphd.common.flower.expected import Expected
from fedphd.common.flower.question import Incoming, Question, Receipt
from fedphd.common.wire.messages import ASSESS, TASKS, ClientErrand
from fedphd.edge.edge_site import EdgeSite

M = TypeVar("M", bound=Incoming)
A = TypeVar("A")


class ErrandQuestion(Question[M, A]):
    """Sends clients on an errand.

    Parameters
    ----------
    site : EdgeSite
        The edge.
    task : str
        The message type: LOCAL, DRAW or ASSESS.
    orders : Mapping[str, ClientErrand]
        What each client is asked.
    expected : Expected
        What each is to give.
    """

    def __init__(self, site: EdgeSite, task: str, orders: Mapping[str, ClientErrand], expected: Expected[M, A]) -> None:
        nodes = {client: site.membership.nodes[client] for client in orders}
        super().__init__(task, nodes, site.config.topology.round_timeout)
        self.site = site
        self.orders = orders
        self.expected = expected

    def order(self, peer: str) -> ClientErrand:
        """Give the client's errand."""
        return self.orders[peer]

    def where(self, peer: str) -> dict[str, object]:
        """Name the round after which the errand is run, the client and the task."""
        return {"round": self.orders[peer].root_round - 1, "peer": peer, "task": TASKS[self.task]}

    def read(self, peer: str, content: RecordDict) -> M:
        """Read what the client gives."""
        return self.expected.read(content)

    def check(self, message: M) -> A:
        """Check what the client gives: the root must be able to use it."""
        return self.expected.check(message)

    def receipt(self, message: M) -> Receipt:
        """Tell of what the client gives."""
        return self.expected.receipt(message)

    def forget(self, peer: str) -> None:
        """Send the whole network the next time; nothing is confirmed, since what errands bring is not kept.

        Training goes on after an assessment as it would without one.
        """
        if self.task != ASSESS:
            self.site.downlink.forget(peer)

"""What the root asks of an edge after an errand: what one client gave."""

from typing import TypeVar

from flwr.app import RecordDict

from fedphd.common.config.topology import edge_timeout
from fedphd.common.flower.expected import Expected
from fedphd.common.flower.question import Incoming, Question, Receipt
from fedphd.common.wire.messages import FETCH, TASKS, Fetch
from fedphd.server.root_site import RootSite

M = TypeVar("M", bound=Incoming)
A = TypeVar("A")


class FetchQuestion(Question[M, A]):
    """Asks for what one client gave; its edge hands on the client's own message.

    Parameters
    ----------
    site : RootSite
        The root.
    errand : str
        The message type of the errand: LOCAL, DRAW or ASSESS.
    client : str
        Who gave.
    expected : Expected
        What the client was to give.
    """

    def __init__(self, site: RootSite, errand: str, client: str, expected: Expected[M, A]) -> None:
        edge = site.registry.homes[client][0]
        super().__init__(FETCH, {client: site.registry.nodes[edge]}, edge_timeout(site.config.topology))
        self.site = site
        self.errand = errand
        self.expected = expected

    def order(self, peer: str) -> Fetch:
        """Name the errand and the client."""
        return Fetch(self.errand, self.site.state.round, peer)

    def where(self, peer: str) -> dict[str, object]:
        """Name the round, the client and the errand."""
        return {"round": self.site.state.round, "edge_round": None, "peer": peer, "task": TASKS[self.errand]}

    def read(self, peer: str, content: RecordDict) -> M:
        """Read what the client gave."""
        return self.expected.read(content)

    def check(self, message: M) -> A:
        """Check what the client gave: its edge may have changed it."""
        return self.expected.check(message)

    def receipt(self, message: M) -> Receipt:
        """Tell of what the client gave."""
        return self.expected.receipt(message)

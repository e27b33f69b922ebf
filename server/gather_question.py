"""What the root asks of edges for an errand: to let their clients work, and to say who gave something."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from flwr.app import RecordDict

from fedphd.common.config.topology import edge_timeout
from fedphd.common.flower.question import Question, Receipt
from fedphd.common.run.events import Event
from fedphd.common.wire.messages import ASSESS, TASKS, Errand, Gathered
from fedphd.server.root_site import RootSite


class GatherQuestion(Question[Gathered, Gathered]):
    """Lets edges gather what clients give.

    Parameters
    ----------
    site : RootSite
        The root.
    task : str
        The message type: LOCAL, DRAW or ASSESS.
    errands : Mapping[str, Errand]
        What each edge is asked.
    """

    def __init__(self, site: RootSite, task: str, errands: Mapping[str, Errand]) -> None:
        nodes = {edge: site.registry.nodes[edge] for edge in errands}
        super().__init__(task, nodes, edge_timeout(site.config.topology), str(site.state.round))
        self.site = site
        self.errands = errands

    def order(self, peer: str) -> Errand:
        """Give the edge's errand."""
        return self.errands[peer]

    def where(self, peer: str) -> dict[str, object]:
        """Name the round, the edge and the task."""
        return {"round": self.site.state.round, "edge_round": None, "peer": peer, "task": TASKS[self.task]}

    def read(self, peer: str, content: RecordDict) -> Gathered:
        """Read who gave something."""
        return Gathered.read(content)

    def check(self, message: Gathered) -> Gathered:
        """Leave out clients that the edge was not asked for."""
        given = [client for client in message.clients if client in self.errands[message.edge].clients]
        return replace(message, clients=given)

    def receipt(self, message: Gathered) -> Receipt | None:
        """Tell nothing: what clients gave crosses the backbone when it is fetched."""
        return None

    def events(self, message: Gathered) -> Sequence[Event]:
        """Give the events of the edge's own ledger."""
        return message.events

    def forget(self, peer: str) -> None:
        """Send the whole network the next time; nothing is confirmed, since what errands bring is not kept.

        Training goes on after an assessment as it would without one.
        """
        if self.task != ASSESS:
            self.site.downlink.forget(peer)

"""What an edge asks of its clients in an edge round, and which of their updates may count."""

from collections.abc import Mapping

from flwr.app import RecordDict

from fedphd.common.flower.expected import update_receipt
from fedphd.common.flower.question import Question, Receipt
from fedphd.common.flower.sound import Decoded
from fedphd.common.wire.links import decode_control, decode_upload
from fedphd.common.wire.messages import TRAIN, ClientUpdate, TrainOrder
from fedphd.common.wire.records import MessageError
from fedphd.edge.edge_site import EdgeSite


class TrainQuestion(Question[ClientUpdate, Decoded[ClientUpdate]]):
    """Asks clients to train the edge's model.

    Parameters
    ----------
    site : EdgeSite
        The edge; its downlink has begun with the model.
    orders : Mapping[str, TrainOrder]
        What each client is asked, all for the same edge round.
    """

    def __init__(self, site: EdgeSite, orders: Mapping[str, TrainOrder]) -> None:
        one = next(iter(orders.values()))
        nodes = {client: site.membership.nodes[client] for client in orders}
        super().__init__(TRAIN, nodes, site.config.topology.round_timeout, f"{one.root_round}.{one.edge_round}")
        self.site = site
        self.orders = orders

    def order(self, peer: str) -> TrainOrder:
        """Give the client's order."""
        return self.orders[peer]

    def where(self, peer: str) -> dict[str, object]:
        """Name the rounds and the client."""
        order = self.orders[peer]
        return {"round": order.root_round, "edge_round": order.edge_round, "peer": peer}

    def read(self, peer: str, content: RecordDict) -> ClientUpdate:
        """Read the update, of the parts that the client was to report."""
        return ClientUpdate.read(content, self.orders[peer].answer)

    def check(self, message: ClientUpdate) -> Decoded[ClientUpdate]:
        """Refuse what is for another round, claims images that nobody registered, or was not asked for."""
        order = self.orders[message.client]
        if message.edge_round != order.edge_round:
            raise MessageError(f"is for edge round {message.edge_round}, not {order.edge_round}")
        registered = self.site.membership.profiles[message.client].samples
        if not 0 < message.samples <= registered:
            raise MessageError(f"claims {message.samples} images; {registered} were registered")
        asked = self.site.config.objective.control_variates and order.final
        if (message.control is not None) != asked:
            raise MessageError(f"{'no' if asked else 'unasked'} change of control variates")
        control = None if message.control is None else decode_control(message.control)
        model = decode_upload(message.model, self.site.downlink.sent, self.site.config.codec.access.up)
        return Decoded(message, model, control)

    def receipt(self, message: ClientUpdate) -> Receipt:
        """Tell of the model and its training."""
        return update_receipt(message)

    def confirm(self, peer: str) -> None:
        """Note that the client has the model."""
        self.site.downlink.confirm(peer)

    def forget(self, peer: str) -> None:
        """Send the client the whole network the next time."""
        self.site.downlink.forget(peer)

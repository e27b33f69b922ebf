"""What the root asks of its edges in a root round, and which of their updates may count."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from flwr.app import RecordDict

from fedphd.common.config.topology import edge_timeout
from fedphd.common.flower.question import Question, Receipt
from fedphd.common.flower.sound import Decoded
from fedphd.common.run.events import Event
from fedphd.common.wire.links import decode_control, decode_upload
from fedphd.common.wire.messages import TRAIN, EdgeUpdate, RoundOrder
from fedphd.common.wire.parts import restrict
from fedphd.common.wire.records import MessageError
from fedphd.server.root_site import RootSite
from fedphd.server.state import RoundSummary


class RoundQuestion(Question[EdgeUpdate, Decoded[EdgeUpdate]]):
    """Asks edges for a root round.

    It is about the round after the committed ones: once that is committed, no answer counts any more.

    Parameters
    ----------
    site : RootSite
        The root; its downlink has begun with the model.
    orders : Mapping[str, RoundOrder]
        What each edge is asked.
    """

    def __init__(self, site: RootSite, orders: Mapping[str, RoundOrder]) -> None:
        nodes = {edge: site.registry.nodes[edge] for edge in orders}
        super().__init__(TRAIN, nodes, edge_timeout(site.config.topology), str(site.state.round + 1))
        self.site = site
        self.orders = orders

    @property
    def root_round(self) -> int:
        """The round that is asked for."""
        return self.site.state.round + 1

    def order(self, peer: str) -> RoundOrder:
        """Give the edge's order."""
        return self.orders[peer]

    def changed_control(self, update: EdgeUpdate) -> dict[str, int]:
        """Give whose changes of control variates an edge's sum holds, each with the edge rounds gone by up to it."""
        order = self.orders[update.edge]
        return {
            client: order.first_edge_round + number
            for number, (one, final) in enumerate(zip(update.rounds, order.final or [], strict=False), start=1)
            for client in set(one.clients) & set(final)
        }

    def where(self, peer: str) -> dict[str, object]:
        """Name the round and the edge."""
        return {"round": self.root_round, "edge_round": None, "peer": peer}

    def read(self, peer: str, content: RecordDict) -> EdgeUpdate:
        """Read the update, of the parts that travel."""
        return EdgeUpdate.read(content, restrict(self.site.state.model.structure, self.site.downlink.shared))

    def check(self, message: EdgeUpdate) -> Decoded[EdgeUpdate]:
        """Refuse what is for another round, does not fit the plan, or was not asked for."""
        config, registry = self.site.config, self.site.registry
        if message.root_round != self.root_round:
            raise MessageError(f"is for root round {message.root_round}, not {self.root_round}")
        if len(message.rounds) != config.topology.edge_rounds:
            raise MessageError(f"has {len(message.rounds)} edge rounds, not {config.topology.edge_rounds}")
        told = registry.told_by(message.edge)
        if len(message.q) != len(told):
            raise MessageError(f"has label fractions of {len(message.q)} classes, not {len(told)}")
        self._check_rounds(message)
        self._check_control(message)
        model = decode_upload(message.model, self.site.downlink.sent, config.backbone.up)
        control = None if message.control is None else decode_control(message.control, len(registry.profiles))
        return Decoded(replace(message, q=registry.shares(message.edge, message.q)), model, control)

    def receipt(self, message: EdgeUpdate) -> Receipt:
        """Tell of the model and the edge rounds."""
        seconds = round(sum(one.seconds for one in message.rounds), 3)
        facts = {"samples": message.samples, "loss": mean_loss([message]), "seconds": seconds}
        return Receipt(message.models, facts=facts)

    def events(self, message: EdgeUpdate) -> Sequence[Event]:
        """Give the events of the edge's own ledger."""
        return message.events

    def confirm(self, peer: str) -> None:
        """Note that the edge has the model."""
        self.site.downlink.confirm(peer)

    def forget(self, peer: str) -> None:
        """Send the edge the whole network the next time."""
        self.site.downlink.forget(peer)

    def _check_control(self, update: EdgeUpdate) -> None:
        """Refuse a change of control variates that is missing or unasked.

        Whose change is in c, the root notes by the clients that an edge names: c must have got it.
        """
        asked = bool(self.changed_control(update))
        if (update.control is not None) != asked:
            raise MessageError(f"{'no' if asked else 'unasked'} change of control variates")

    def _check_rounds(self, update: EdgeUpdate) -> None:
        """Refuse clients that were not planned for their edge, and images that they do not have."""
        profiles = self.site.registry.profiles
        for one, planned in zip(update.rounds, self.orders[update.edge].assignment, strict=True):
            strangers = set(one.clients) - set(planned)
            most = sum(profiles[client].samples for client in set(one.clients) - strangers)
            if strangers or one.samples > most:
                raise MessageError(
                    f"counts {one.samples} images; its clients have {most}, {len(strangers)} were not planned for it"
                )


def mean_loss(updates: list[EdgeUpdate]) -> float | None:
    """Mean client loss, weighted by images, over all edge rounds of the updates."""
    trained = [one for update in updates for one in update.rounds if one.loss is not None]
    samples = sum(one.samples for one in trained)
    return sum(one.samples * (one.loss or 0.0) for one in trained) / samples if samples else None


def summary(updates: list[EdgeUpdate], epochs: int) -> RoundSummary:
    """Sum up a root round in which a client that trained did so for `epochs` passes over its images, E, at a time."""
    rounds = [one for update in updates for one in update.rounds]
    samples = sum(one.samples for one in rounds)
    return RoundSummary(
        loss=mean_loss(updates),
        clients=len({client for one in rounds for client in one.clients}),
        samples=samples,
        client_epochs=epochs * sum(len(one.clients) for one in rounds),
        image_passes=epochs * samples,
    )

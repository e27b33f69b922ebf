"""What the root takes from its edges' answers: the sound ones, decoded."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flwr.app import Message

from fedphd.common.config import Config
from fedphd.common.network.packing import PackedModel
from fedphd.common.run.events import Accept, Lost, Refuse
from fedphd.common.run.hop_log import HopLog
from fedphd.common.wire.codec import CodecError
from fedphd.common.wire.links import Downlink, decode_control, decode_upload
from fedphd.common.wire.messages import EdgeUpdate
from fedphd.common.wire.parts import restrict
from fedphd.common.wire.records import MessageError
from fedphd.server.assignment import Assignment
from fedphd.server.registry import Registry
from fedphd.server.state import GlobalState


@dataclass(frozen=True)
class Sound:
    """An update that may count, and what it decodes to."""

    update: EdgeUpdate
    model: PackedModel
    control: PackedModel | None


class Reception:
    """Reads the answers of one root round.

    Parameters
    ----------
    config : Config
        The run's configuration.
    registry : Registry
        Edges and clients.
    log : HopLog
        Of the backbone.
    downlink : Downlink
        What the edges were sent.
    plan : list[Assignment]
        Of the round.
    state : GlobalState
        Where the run is, and where traffic is counted.
    """

    def __init__(
        self,
        config: Config,
        registry: Registry,
        log: HopLog,
        downlink: Downlink,
        plan: list[Assignment],
        state: GlobalState,
    ) -> None:
        self.config = config
        self.registry = registry
        self.log = log
        self.downlink = downlink
        self.plan = plan
        self.state = state

    def sound_updates(self, replies: Iterable[Message]) -> Iterator[Sound]:
        """Yield the updates that may count, as they come; log what became of each."""
        root_round = self.state.round + 1
        shared = restrict(self.state.model.structure, self.downlink.shared)
        for reply in replies:
            edge = self.registry.edge_at(reply.metadata.src_node_id)
            where = {"round": root_round, "edge_round": None, "peer": edge}
            if reply.has_error():
                self.downlink.forget(edge)
                self.log.write(Lost(**where, reason=f"error {reply.error.code}: {reply.error.reason}"))
                continue
            try:
                update = self._check(EdgeUpdate.read(reply.content, shared), edge, root_round)
                model = decode_upload(update.model, self.downlink.sent, self.config.backbone.up)
                most = len(self.registry.profiles)
                control = None if update.control is None else decode_control(update.control, most)
            except (MessageError, CodecError) as error:
                self.log.write(Refuse(**where, reason=str(error)))
                continue
            self.downlink.confirm(edge)
            self.log.ledger.take_forwarded(edge, update.events)
            facts = {"samples": update.samples, "loss": mean_loss([update])}
            seconds = round(sum(one.seconds for one in update.rounds), 3)
            counted = self.log.crossed(
                Accept, reply.content, update.model, update.control, **where, **facts, seconds=seconds
            )
            self.state.count("backbone_up", counted)
            yield Sound(update, model, control)

    def _check(self, update: EdgeUpdate, edge: str, root_round: int) -> EdgeUpdate:
        """Refuse what answers another question than the one that was asked."""
        if update.edge != edge:
            raise MessageError(f"comes from {update.edge}")
        if update.root_round != root_round:
            raise MessageError(f"is for root round {update.root_round}, not {root_round}")
        if len(update.rounds) != self.config.topology.edge_rounds:
            raise MessageError(f"has {len(update.rounds)} edge rounds, not {self.config.topology.edge_rounds}")
        if len(update.q) != len(self.registry.classes):
            raise MessageError(f"has label fractions of {len(update.q)} classes, not {len(self.registry.classes)}")
        if update.control is not None and not self.config.objective.control_variates:
            raise MessageError("unasked change of control variates")
        for one, assignment in zip(update.rounds, self.plan, strict=True):
            strangers = set(one.clients) - set(assignment[edge])
            most = sum(self.registry.profiles[client].samples for client in set(one.clients) - strangers)
            if strangers or one.samples > most:
                raise MessageError(
                    f"counts {one.samples} images; its clients have {most}, {len(strangers)} were not planned for it"
                )
        return update


def mean_loss(updates: list[EdgeUpdate]) -> float | None:
    """Mean client loss, weighted by images, over all edge rounds of the updates."""
    trained = [one for update in updates for one in update.rounds if one.loss is not None]
    samples = sum(one.samples for one in trained)
    return sum(one.samples * (one.loss or 0.0) for one in trained) / samples if samples else None

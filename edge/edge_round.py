"""One edge round: the edge's model goes out to its clients, and what they send is averaged."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flwr.app import Message
from flwr.serverapp import Grid

from fedphd.common.averaging.quorum import check_quorum
from fedphd.common.config import Config
from fedphd.common.flower.delivery import Patience, exchange
from fedphd.common.network.packing import PackedModel
from fedphd.common.run.hop_log import HopLog
from fedphd.common.wire.codec import CodecError
from fedphd.common.wire.links import Downlink, decode_control, decode_upload
from fedphd.common.wire.messages import TRAIN, ClientUpdate, EdgeRound, RoundOrder, TrainOrder
from fedphd.common.wire.parts import Parts, restrict
from fedphd.common.wire.records import MessageError, check_sender
from fedphd.common.wire.traffic import NO_TRAFFIC, Traffic, total
from fedphd.edge.membership import Membership
from fedphd.edge.parts_average import PartsAverage


@dataclass(frozen=True)
class Sound:
    """An update that may count, and what it decodes to."""

    update: ClientUpdate
    model: PackedModel
    control: PackedModel | None


@dataclass(frozen=True)
class Outcome:
    """The edge's model after an edge round, what happened, and the sum of the changes of control variates."""

    model: PackedModel
    report: EdgeRound
    control: PackedModel | None = None


@dataclass
class Tally:
    """What is kept of the updates that counted: not their models."""

    samples: dict[str, int] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    up: Traffic = NO_TRAFFIC

    def take(self, update: ClientUpdate) -> None:
        """Count an update."""
        self.samples[update.client] = update.samples
        self.losses[update.client] = update.loss
        self.up += Traffic.of(update.model, update.control)


class EdgeRoundRunner:
    """Runs the edge rounds of one root round.

    Parameters
    ----------
    edge : str
        The edge's id.
    config : Config
        The run's configuration.
    membership : Membership
        The edge's clients.
    log : HopLog
        Where what crosses the hop is written.
    patience : Patience
        For clients that go away.
    spool : Path
        Folder for updates that come before their turn.
    order : RoundOrder
        The root's.
    """

    def __init__(
        self,
        edge: str,
        config: Config,
        membership: Membership,
        log: HopLog,
        patience: Patience,
        spool: Path,
        order: RoundOrder,
    ) -> None:
        self.edge = edge
        self.config = config
        self.membership = membership
        self.log = log
        self.patience = patience
        self.spool = spool
        self.order = order

    def run(self, grid: Grid, downlink: Downlink, model: PackedModel, edge_round: int, clients: list[str]) -> Outcome:
        """Let `clients` train what `downlink` sends, and average what they report; without clients `model` stays.

        Raises
        ------
        QuorumError
            If fewer than `topology.quorum` of the clients gave a sound update.
        """
        if not clients:
            return Outcome(model, EdgeRound([], 0, None, 0.0))
        started = time.perf_counter()
        exchange, tally = self.config.exchange, Tally()
        asked = exchange.reports(clients, self.config.seed, self.edge, edge_round)
        orders = {client: self._order(downlink, client, edge_round, asked[client]) for client in clients}
        final = {client: asked[client] for client in clients if orders[client].final}
        with (
            PartsAverage(exchange, asked, self.spool) as average,
            PartsAverage(exchange, final, self.spool / "control") as sums,
        ):
            for sound in self._sound_updates(grid, downlink, orders):
                client = sound.update.client
                q_k = self.membership.distribution(client)
                average.add(client, sound.model, self.config.weighting.edge.weight(sound.update.samples, q_k))
                if sound.control is not None:
                    sums.add(client, sound.control, 1.0)
                tally.take(sound.update)
            name = f"{self.edge}: edge round {edge_round}"
            check_quorum(name, "clients", len(tally.samples), len(clients), self.config.topology.quorum)
            averaged = average.result(model)
            control = sums.sum(restrict(model.structure, self.order.download.shared))
        down = total(Traffic.of(order.download.model, order.control) for order in orders.values())
        seconds = round(time.perf_counter() - started, 3)
        return Outcome(averaged, self._report(edge_round, clients, tally, down, seconds), control)

    def _order(self, downlink: Downlink, client: str, edge_round: int, parts: Parts) -> TrainOrder:
        final = self.order.final
        return TrainOrder(
            download=downlink.message(client),
            edge=self.edge,
            root_round=self.order.root_round,
            edge_round=edge_round,
            sparse=self.order.sparse,
            reports=parts,
            pruning=self.order.pruning,
            control=self.order.control,
            final=final is not None and client in final[edge_round - self.order.first_edge_round],
        )

    def _report(self, edge_round: int, clients: list[str], tally: Tally, down: Traffic, seconds: float) -> EdgeRound:
        trained = [client for client in clients if client in tally.samples]  # not in the order of arrival
        samples = sum(tally.samples[client] for client in trained)
        loss = sum(tally.samples[client] * tally.losses[client] for client in trained) / samples
        facts = {"clients": trained, "samples": samples, "loss": loss, "seconds": seconds}
        self.log.event("aggregate", round=self.order.root_round, edge_round=edge_round, **facts)
        return EdgeRound(trained, samples, loss, seconds, down, tally.up)

    def _sound_updates(self, grid: Grid, downlink: Downlink, orders: Mapping[str, TrainOrder]) -> Iterator[Sound]:
        """Send the orders and yield the updates that may count, as they come; log what became of each."""
        by_node = {self.membership.nodes[client]: client for client in orders}
        messages = self._messages(orders)
        for reply in exchange(grid, messages, self.config.topology.round_timeout, self.patience):
            client = by_node[reply.metadata.src_node_id]
            order = orders[client]
            where = {"round": order.root_round, "edge_round": order.edge_round, "peer": client}
            if reply.has_error():
                downlink.forget(client)
                self.log.event("lost", **where, reason=f"error {reply.error.code}: {reply.error.reason}")
                continue
            try:
                sound = self._decode(
                    self._check(ClientUpdate.read(reply.content, order.answer), client, order), downlink
                )
            except (MessageError, CodecError) as error:
                self.log.event("refuse", **where, reason=str(error))
                continue
            downlink.confirm(client)
            update = sound.update
            facts = {"samples": update.samples, "loss": update.loss, "seconds": round(update.seconds, 3)}
            self.log.crossed("accept", reply.content, update.model, update.control, **where, **facts)
            yield sound

    def _messages(self, orders: Mapping[str, TrainOrder]) -> Iterator[Message]:
        for client, order in orders.items():
            content = order.write()
            where = {"round": order.root_round, "edge_round": order.edge_round, "peer": client}
            self.log.crossed("send", content, order.download.model, order.control, **where)
            # Undelivered at its deadline, an order must not be trained on by a client that comes back later.
            ttl = self.config.topology.round_timeout
            node = self.membership.nodes[client]
            yield Message(content, node, TRAIN, ttl=ttl, group_id=f"{order.root_round}.{order.edge_round}")

    def _check(self, update: ClientUpdate, client: str, order: TrainOrder) -> ClientUpdate:
        """Refuse what answers another question than the one that was asked."""
        check_sender(update.client, client)
        if update.edge_round != order.edge_round:
            raise MessageError(f"is for edge round {update.edge_round}, not {order.edge_round}")
        registered = self.membership.profiles[client].samples
        if not 0 < update.samples <= registered:
            raise MessageError(f"claims {update.samples} images; {registered} were registered")
        asked = self.config.objective.control_variates and order.final
        if (update.control is not None) != asked:
            raise MessageError(f"{'no' if asked else 'unasked'} change of control variates")
        return update

    def _decode(self, update: ClientUpdate, downlink: Downlink) -> Sound:
        control = None if update.control is None else decode_control(update.control)
        model = decode_upload(update.model, downlink.sent, self.config.codec.access.up)
        return Sound(update, model, control)

"""One edge round: the edge's model goes out to its clients, and what they send is averaged."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flwr.serverapp import Grid

from fedphd.common.averaging.quorum import check_quorum
from fedphd.common.network.packing import PackedModel
from fedphd.common.run.events import Aggregate
from fedphd.common.wire.messages import ClientUpdate, EdgeRound, RoundOrder, TrainOrder
from fedphd.common.wire.parts import Parts, restrict
from fedphd.common.wire.traffic import NO_TRAFFIC, Traffic
from fedphd.edge.edge_site import EdgeSite
from fedphd.edge.parts_average import PartsAverage
from fedphd.edge.train_question import TrainQuestion


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

    def take(self, update: ClientUpdate, traffic: Traffic) -> None:
        """Count an update, and what crossed the hop with it."""
        self.samples[update.client] = update.samples
        self.losses[update.client] = update.loss
        self.up += traffic


class EdgeRoundRunner:
    """Runs the edge rounds of one root round.

    Parameters
    ----------
    site : EdgeSite
        The edge.
    order : RoundOrder
        The root's.
    spool : Path
        Folder for updates that come before their turn.
    """

    def __init__(self, site: EdgeSite, order: RoundOrder, spool: Path) -> None:
        self.site = site
        self.order = order
        self.spool = spool

    def run(self, grid: Grid, model: PackedModel, edge_round: int, clients: list[str]) -> Outcome:
        """Let `clients` train what the edge's downlink sends, and average what they report.

        Parameters
        ----------
        grid : Grid
            This edge's clients.
        model : PackedModel
            The edge's model, which stays if there are no clients.
        edge_round : int
            Counts from 0 over the whole run.
        clients : list[str]
            Who trains.

        Raises
        ------
        QuorumError
            If fewer than `topology.quorum` of the clients gave a sound update.
        """
        if not clients:
            return Outcome(model, EdgeRound([], 0, None, 0.0))
        started, config = time.perf_counter(), self.site.config
        asked = config.exchange.reports(clients, config.seed, self.site.edge, edge_round)
        question = TrainQuestion(self.site, self._orders(edge_round, asked))
        final = {client: parts for client, parts in asked.items() if question.order(client).final}
        tally = Tally()
        with (
            PartsAverage(config.exchange, asked, self.spool) as average,
            PartsAverage(config.exchange, final, self.spool / "control") as sums,
        ):
            for sound in self.site.boundary.ask(grid, question):
                average.add(sound.peer, sound.answer.model, self._weight(sound.answer.update))
                if sound.answer.control is not None:
                    sums.add(sound.peer, sound.answer.control, 1.0)
                tally.take(sound.answer.update, sound.traffic)
            name = f"{self.site.edge}: edge round {edge_round}"
            check_quorum(name, "clients", len(tally.samples), len(clients), config.topology.quorum)
            averaged = self._averaged(average, model)
            control = sums.sum(restrict(model.structure, self.order.download.shared))
        seconds = round(time.perf_counter() - started, 3)
        return Outcome(averaged, self._report(edge_round, question, tally, seconds), control)

    def _orders(self, edge_round: int, asked: Mapping[str, Parts]) -> dict[str, TrainOrder]:
        return {client: self._order(client, edge_round, parts) for client, parts in asked.items()}

    def _order(self, client: str, edge_round: int, parts: Parts) -> TrainOrder:
        final = self.order.final
        return TrainOrder(
            download=self.site.downlink.message(client),
            edge=self.site.edge,
            root_round=self.order.root_round,
            edge_round=edge_round,
            sparse=self.order.sparse,
            reports=parts,
            lineage=self.order.lineage,
            control=self.order.control,
            final=final is not None and client in final[edge_round - self.order.first_edge_round],
            counted=self.order.counted.get(client, 0),
        )

    def _averaged(self, average: PartsAverage, model: PackedModel) -> PackedModel:
        downlink = self.site.downlink
        if not downlink.codec.error_feedback:
            return average.result(model)
        return downlink.restored(average.result(downlink.sent))

    def _weight(self, update: ClientUpdate) -> float:
        q_k, mean = self.site.membership.distribution(update.client), self.site.membership.mean_samples
        return self.site.config.weighting.edge.weight(update.samples, q_k, mean)

    def _report(self, edge_round: int, question: TrainQuestion, tally: Tally, seconds: float) -> EdgeRound:
        trained = [client for client in question.orders if client in tally.samples]  # not in the order of arrival
        samples = sum(tally.samples[client] for client in trained)
        loss = sum(tally.samples[client] * tally.losses[client] for client in trained) / samples
        facts = {"clients": trained, "samples": samples, "loss": loss, "seconds": seconds}
        self.site.log.write(Aggregate(round=self.order.root_round, edge_round=edge_round, **facts))
        return EdgeRound(trained, samples, loss, seconds, question.down, tally.up)

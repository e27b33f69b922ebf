"""The root's Flower strategy: plan, send to the edges, weigh their answers, correct, commit."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fedphd.common.averaging.aggregation import OrderedAverage
from fedphd.common.averaging.homogeneity import homogeneity
from fedphd.common.averaging.quorum import check_quorum
from fedphd.common.config import Config
from fedphd.common.flower.boundary import Boundary
from fedphd.common.network.lineage import NO_PRUNING
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.run.events import Commit, Plan, Start
from fedphd.common.run.hop_log import HopLog
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.codec.coded import CodedModel, code
from fedphd.common.wire.links import Downlink, Reference, rounding_seed, standalone
from fedphd.common.wire.messages import EdgeUpdate, RoundOrder
from fedphd.common.wire.parts import restrict
from fedphd.server.assignment import ASSIGNMENTS, Assignment, final_rounds, plan_round
from fedphd.server.correction import Correction
from fedphd.server.pruning_schedule import PruningSchedule
from fedphd.server.registry import Registry
from fedphd.server.root_site import RootSite
from fedphd.server.round_question import RoundQuestion, mean_loss, summary
from fedphd.server.state import GlobalState
from fedphd.server.weighting import root_weight


class HierarchicalStrategy(Strategy):  # type: ignore[misc]
    """Flower strategy of a root whose nodes are edges; runs in Flower's own round loop (`start`).

    The strategy counts rounds by its state, not by Flower's argument, which starts from 1 also when
    a run is resumed.

    Parameters
    ----------
    config : Config
        The run's configuration.
    registry : Registry
        Edges and clients.
    state : GlobalState
        The model to start from; every round commits to it.
    pruning : PruningSchedule
        When the model is pruned.
    correction : Correction or None
        Fine-tunes new global models; None if the method does not.
    ledger : Ledger
        Where plan, send, accept, refuse, loss and commit are written.
    spool : Path
        Folder for updates that arrive before their turn.
    """

    def __init__(
        self,
        config: Config,
        registry: Registry,
        state: GlobalState,
        pruning: PruningSchedule,
        correction: Correction | None,
        ledger: Ledger,
        spool: Path,
    ) -> None:
        self.config = config
        self.registry = registry
        self.state = state
        self.pruning = pruning
        self.correction = correction
        self.ledger = ledger
        self.spool = spool
        self.log = HopLog(ledger, "backbone", exists=config.topology.edges > 0)
        seed = rounding_seed(config.seed, "down", "root")
        self.downlink = Downlink(config.backbone.down, config.exchange.shared, seed)
        boundary = Boundary(self.log, config.topology.rejoin_timeout)
        self.site = RootSite(config, registry, state, self.downlink, boundary)
        self._rule = ASSIGNMENTS.read(config.assignment)
        self._question = RoundQuestion(self.site, {})

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Plan the next root round and address it to the edges."""
        root_round = self.state.round + 1
        first_edge_round = self.state.round * self.config.topology.edge_rounds
        plan = plan_round(self._rule, self.config.topology, self.registry, first_edge_round, self.config.seed)
        self.log.write(Plan(round=root_round, assignment=plan))
        self._question = RoundQuestion(self.site, self._orders(root_round, first_edge_round, plan))
        return self._messages(self._question)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average the edges' models, commit the round, and prune if its time has come.

        Returns
        -------
        tuple[None, None]
            The model stays in `state` (Flower would keep a second copy), its metrics are in `state.latest`.

        Raises
        ------
        QuorumError
            If fewer than `topology.quorum` of the edges gave a sound update.
        """
        edges = list(self.registry.nodes)
        updates: dict[str, tuple[EdgeUpdate, float]] = {}
        with OrderedAverage(edges, self.spool) as average, OrderedAverage(edges, self.spool / "control") as changes:
            for sound in self.site.boundary.receive(self._question, replies):
                update = sound.answer.update
                weight = root_weight(self.config.weighting.root, update, self.registry.mean_samples)
                average.add(sound.peer, sound.answer.model.vector, weight)
                if sound.answer.control is not None:
                    changes.add(sound.peer, sound.answer.control.vector, 1.0)
                self.state.count("backbone_up", sound.traffic)
                updates[sound.peer] = (_without_model(update), weight)
            name = f"root round {self.state.round + 1}"
            check_quorum(name, "edges", len(updates), len(edges), self.config.topology.quorum)
            answer = self.state.model.overlay(PackedModel(self._shared, average.result()))
            model = self.downlink.restored(answer)
            self._advance_control(changes)
            self._note_counted(update for update, _ in updates.values())
            total = average.total_weight
        loss = mean_loss([update for update, _ in updates.values()])
        self.state.advance(self._corrected(model, loss), self.config.ema_decay)
        self.state.losses.append(loss)
        if self.config.backbone.down.of == "change":
            self.state.reference = Reference(self.state.round, self.downlink.sent)
        self._commit({edge: updates[edge] for edge in edges if edge in updates}, total)
        self.pruning.apply(self.state)
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask nothing: the recorder evaluates, and has clients draw where only they can."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Have nothing to aggregate."""
        return None

    def summary(self) -> None:
        """Write the run's frame to the ledger."""
        topology = self.config.topology
        frame = {"rounds": self.config.rounds, "edge_rounds": topology.edge_rounds, "clients": topology.clients}
        init = self.config.model.init_hash
        self.log.write(Start(run=self.config.method, edges=len(self.registry.nodes), init=init, **frame))

    def _messages(self, question: RoundQuestion) -> Iterator[Message]:
        yield from self.site.boundary.send(question)
        self.state.count("backbone_down", question.down)

    def _orders(self, root_round: int, first_edge_round: int, plan: list[Assignment]) -> dict[str, RoundOrder]:
        sparse = self.pruning.phase(root_round) == "sparse"
        final, control = final_rounds(plan), self._control()
        self.downlink.begin(self.state.model, root_round, self.state.reference)
        return {
            edge: RoundOrder(
                download=self.downlink.message(edge),
                root_round=root_round,
                first_edge_round=first_edge_round,
                assignment=[assignment[edge] for assignment in plan],
                sparse=sparse,
                lineage=self.state.lineage if self.config.keeps_states else NO_PRUNING,
                control=control,
                final=[one[edge] for one in final] if self.config.objective.control_variates else None,
                counted=self._counted(client for one in plan for client in one[edge]),
            )
            for edge in self.registry.nodes
        }

    def _control(self) -> CodedModel | None:
        return None if self.state.control is None else code(self.state.control, standalone(self.config.backbone.down))

    @property
    def _shared(self) -> Structure:
        """Structure of the parts that travel."""
        return restrict(self.state.model.structure, self.downlink.shared)

    def _advance_control(self, changes: OrderedAverage) -> None:
        """Let c become c + 1/N sum of the clients' changes (SCAFFOLD, Algorithm 1, line 17), over all N clients."""
        total = changes.sum()
        if total is None:
            return
        mean = total / np.float32(len(self.registry.profiles))
        before = self.state.control
        self.state.control = PackedModel(self._shared, mean if before is None else before.vector + mean)

    def _counted(self, clients: Iterable[str]) -> dict[str, int]:
        return {client: self.state.counted[client] for client in clients if client in self.state.counted}

    def _note_counted(self, updates: Iterable[EdgeUpdate]) -> None:
        """Note whose changes are in c now: a client whose change was lost goes on from the c_k that c counts."""
        for update in updates:
            self.state.counted |= self._question.changed_control(update)

    def _corrected(self, model: PackedModel, loss: float | None) -> PackedModel:
        """Fine-tune the new model if the method does so now."""
        state, root_round = self.state, self.state.round + 1
        if self.correction is None or not self.config.correction.due([*state.losses, loss], state.corrected_at):
            return model
        state.corrected_at = root_round
        return self.correction.apply(model, root_round)

    def _commit(self, updates: dict[str, tuple[EdgeUpdate, float]], total: float) -> None:
        """Write the committed round to the ledger and count the clients' traffic."""
        reports = [update for update, _ in updates.values()]
        for one in (one for report in reports for one in report.rounds):
            self.state.count("access_down", one.down)
            self.state.count("access_up", one.up)
        self.state.latest = summary(reports, self.config.training.epochs)
        self.log.write(
            Commit(
                round=self.state.round,
                edges=list(updates),
                loss=self.state.latest.loss,
                structure=self.state.model.structure.id,
                weights={edge: round(weight / total, 6) for edge, (_, weight) in updates.items()},
                homogeneity={edge: round(homogeneity(update.q), 6) for edge, (update, _) in updates.items()},
            )
        )


def _without_model(update: EdgeUpdate) -> EdgeUpdate:
    """Let go of the numbers, so that memory does not grow with the number of edges."""
    return replace(update, model=replace(update.model, data=b""), control=None, events=[])

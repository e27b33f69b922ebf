"""The root's Flower strategy: plan, send to the edges, weigh their answers, commit."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from common.aggregation import OrderedAverage
from common.config import Config
from common.homogeneity import homogeneity
from common.ledger import Ledger
from common.messages import TRAIN, EdgeUpdate, RoundOrder, content_bytes, encode_model
from common.packing import PackedModel
from common.quorum import check_quorum
from common.records import MessageError
from common.topology import edge_timeout
from server.assignment import Assignment, plan_round
from server.registry import Registry
from server.state import GlobalState, RoundSummary
from server.structure import StructureSchedule
from server.weighting import root_weight

HOP = "backbone"  # between edges and the root


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
    structure : StructureSchedule
        When the model is pruned.
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
        structure: StructureSchedule,
        ledger: Ledger,
        spool: Path,
    ) -> None:
        self.config = config
        self.registry = registry
        self.state = state
        self.structure = structure
        self.ledger = ledger
        self.spool = spool
        self._plan: list[Assignment] = []

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Plan the next root round and address it to the edges."""
        root_round = self.state.round + 1
        first_edge_round = self.state.round * self.config.topology.edge_rounds
        self._plan = plan = plan_round(
            self.config.assignment, self.config.topology, self.registry, first_edge_round, self.config.seed
        )
        self._log("plan", round=root_round, assignment=plan)
        return self._orders(root_round, first_edge_round, plan)

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
        with OrderedAverage(edges, self.spool) as average:
            for update in self._sound_updates(replies):
                weight = root_weight(self.config.weighting.root, update)
                average.add(update.edge, update.model.vector, weight)
                updates[update.edge] = (_without_model(update), weight)
            name = f"root round {self.state.round + 1}"
            check_quorum(name, "edges", len(updates), len(edges), self.config.topology.quorum)
            model = PackedModel(self.state.model.structure, average.result())
            total = average.total_weight
        self.state.advance(model, self.config.ema_decay)
        self._commit({edge: updates[edge] for edge in edges if edge in updates}, total)
        self.structure.apply(self.state)
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask nothing: the global model is evaluated at the root."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Have nothing to aggregate."""
        return None

    def resent(self, message: Message, reason: str) -> None:
        """Log that an edge is sent its order again, because it went away."""
        edge = self._edge_of(message.metadata.dst_node_id)
        facts = self._traffic(message.content)
        self._log("resend", round=self.state.round + 1, edge_round=None, peer=edge, **facts, reason=reason)

    def summary(self) -> None:
        """Write the run's frame to the ledger."""
        topology = self.config.topology
        frame = {"rounds": self.config.rounds, "edge_rounds": topology.edge_rounds, "clients": topology.clients}
        self._log("start", run=self.config.method, edges=len(self.registry.nodes), **frame)

    def _orders(self, root_round: int, first_edge_round: int, plan: list[Assignment]) -> Iterator[Message]:
        sparse = self.structure.phase(root_round) == "sparse"
        encoded = encode_model(self.state.model)
        for edge, node in self.registry.nodes.items():
            own = [assignment[edge] for assignment in plan]
            content = RoundOrder(self.state.model, root_round, first_edge_round, own, sparse).write(encoded)
            self._log("send", round=root_round, edge_round=None, peer=edge, **self._traffic(content))
            self.state.traffic.backbone_down += self._backbone_bytes
            # Undelivered at its deadline, an order must not keep busy an edge that comes back later.
            yield Message(content, node, TRAIN, ttl=edge_timeout(self.config.topology), group_id=str(root_round))

    def _sound_updates(self, replies: Iterable[Message]) -> Iterator[EdgeUpdate]:
        """Yield the updates that may count, as they come; log what became of each."""
        root_round = self.state.round + 1
        for reply in replies:
            edge = self._edge_of(reply.metadata.src_node_id)
            where = {"round": root_round, "edge_round": None, "peer": edge}
            if reply.has_error():
                self._log("lost", **where, reason=f"error {reply.error.code}: {reply.error.reason}")
                continue
            try:
                update = self._check(EdgeUpdate.read(reply.content, self.state.model.structure), edge, root_round)
            except MessageError as error:
                self._log("refuse", **where, reason=str(error))
                continue
            self.ledger.take_forwarded(edge, update.events)
            facts = {"samples": update.samples, "loss": _loss([update])}
            seconds = round(sum(one.seconds for one in update.rounds), 3)
            self._log("accept", **where, **self._traffic(reply.content), **facts, seconds=seconds)
            self.state.traffic.backbone_up += self._backbone_bytes
            yield update

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
        for one, assignment in zip(update.rounds, self._plan, strict=True):
            strangers = set(one.clients) - set(assignment[edge])
            most = sum(self.registry.profiles[client].samples for client in set(one.clients) - strangers)
            if strangers or one.samples > most:
                raise MessageError(
                    f"counts {one.samples} images; its clients have {most}, {len(strangers)} were not planned for it"
                )
        return update

    def _commit(self, updates: dict[str, tuple[EdgeUpdate, float]], total: float) -> None:
        """Write the committed round to the ledger and count the clients' traffic."""
        reports = [update for update, _ in updates.values()]
        for one in (one for report in reports for one in report.rounds):
            self.state.traffic.access_down += one.down_bytes
            self.state.traffic.access_up += one.up_bytes
        trained = {client for report in reports for one in report.rounds for client in one.clients}
        self.state.latest = RoundSummary(_loss(reports), len(trained), sum(report.samples for report in reports))
        self._log(
            "commit",
            round=self.state.round,
            edges=list(updates),
            loss=self.state.latest.loss,
            structure=self.state.model.structure.id,
            weights={edge: round(weight / total, 6) for edge, (_, weight) in updates.items()},
            homogeneity={edge: round(homogeneity(update.q), 6) for edge, (update, _) in updates.items()},
        )

    def _edge_of(self, node: int) -> str:
        return next(edge for edge, own in self.registry.nodes.items() if own == node)

    @property
    def _backbone_bytes(self) -> int:
        """Bytes of one model on the backbone; without an edge tier nothing crosses it."""
        return self.state.model.vector.nbytes if self.config.topology.edges else 0

    def _traffic(self, content: RecordDict) -> dict[str, object]:
        return {
            "hop": HOP,
            "payload_bytes": self._backbone_bytes,
            "encoded_bytes": content_bytes(content) if self.config.topology.edges else 0,
            "structure": self.state.model.structure.id,
        }

    def _log(self, event: str, **facts: object) -> None:
        self.ledger.event(event, tier="root", node="root", **facts)


def _loss(updates: list[EdgeUpdate]) -> float | None:
    """Mean client loss, weighted by images, over all edge rounds of the updates."""
    trained = [one for update in updates for one in update.rounds if one.loss is not None]
    samples = sum(one.samples for one in trained)
    return sum(one.samples * (one.loss or 0.0) for one in trained) / samples if samples else None


def _without_model(update: EdgeUpdate) -> EdgeUpdate:
    """Let go of the model, so that memory does not grow with the number of edges."""
    empty = PackedModel(update.model.structure, update.model.vector[:0].copy())
    return EdgeUpdate(empty, update.edge, update.root_round, update.q, update.rounds)

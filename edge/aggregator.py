"""The edge's work in one root round: r_g edge rounds of training at its clients and averaging.

`EdgeAggregator` knows only a Flower `Grid` of clients. It is the same object in the edge's own
ServerApp, in Ray simulation and in tests.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from reprlib import repr as shortened

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from common.aggregation import OrderedAverage
from common.config import Config
from common.flower.exchange import Patience, exchange
from common.homogeneity import LabelState
from common.ledger import Ledger
from common.messages import (
    TRAIN,
    ClientUpdate,
    EdgeRound,
    EdgeUpdate,
    Roster,
    RoundOrder,
    TrainOrder,
    content_bytes,
)
from common.packing import PackedModel
from common.quorum import check_quorum
from common.records import MessageError
from common.weighting import member_weight
from edge.membership import Membership
from edge.spool import Progress

HOP = "access"  # between clients and their edge


class EdgeAggregator:
    """Runs edge rounds on a grid of clients (FedPhD's edge tier).

    Parameters
    ----------
    edge : str
        This edge's id.
    config : Config
        The run's configuration.
    ledger : Ledger
        Where each send, accept, refuse, loss and aggregate is written.
    spool : Path
        Folder for updates that arrive before their turn.
    members : Path, optional
        File that keeps who registered, for an edge that may be started again.
    """

    def __init__(self, edge: str, config: Config, ledger: Ledger, spool: Path, members: Path | None = None) -> None:
        self.edge = edge
        self.config = config
        self.ledger = ledger
        self.spool = spool
        self.membership = Membership(edge, config.topology, members)
        self.patience = Patience(config.topology.rejoin_timeout, self._resent)

    def register(self, grid: Grid) -> RecordDict:
        """Ask all clients of this edge who they are.

        Returns
        -------
        RecordDict
            The edge's `Roster`.

        Raises
        ------
        RegistrationError
            If not all of the topology's clients answer in time.
        """
        self.membership.register(grid, self.patience)
        profiles = [self.membership.profiles[client] for client in self.membership.expected]
        self._log("register", clients=self.membership.expected)
        return Roster(self.edge, profiles, self.ledger.to_forward()).write()

    def run_round(self, grid: Grid, content: RecordDict, progress: Progress | None = None) -> RecordDict:
        """Run all edge rounds of one root round.

        Parameters
        ----------
        grid : Grid
            This edge's clients.
        content : RecordDict
            The root's `RoundOrder`.
        progress : Progress, optional
            Keeps the edge rounds that are over: an edge that is started again goes on after them.

        Returns
        -------
        RecordDict
            The `EdgeUpdate`: the edge's model after its last edge round, and what happened.

        Raises
        ------
        MessageError
            If the order cannot be used.
        QuorumError
            If fewer than `topology.quorum` of an edge round's clients gave a sound update.
        """
        order = RoundOrder.read(content)
        if not self.membership.complete:
            self.membership.register(grid, self.patience)
        strangers = {client for clients in order.assignment for client in clients} - set(self.membership.nodes)
        if strangers:
            raise MessageError(f"{self.edge} has no clients {', '.join(sorted(strangers))}")
        update = self._start(order, progress)
        for edge_round, clients in list(enumerate(order.assignment, order.first_edge_round))[len(update.rounds) :]:
            task = TrainOrder(update.model, order.root_round, edge_round, order.sparse)
            model, one = self._edge_round(grid, task, clients)
            rounds, events = [*update.rounds, one], [*update.events, *self.ledger.to_forward()]
            update = EdgeUpdate(model, self.edge, order.root_round, self._q(rounds), rounds, events)
            if progress is not None and len(rounds) < len(order.assignment):
                progress.save(update.write())
        return update.write()

    def _start(self, order: RoundOrder, progress: Progress | None) -> EdgeUpdate:
        """Begin with the root's model, or go on where an earlier process of this edge was stopped."""
        fresh = EdgeUpdate(order.model, self.edge, order.root_round, self._q([]))
        saved = progress.load() if progress is not None else None
        if saved is None:
            return fresh
        try:
            update = EdgeUpdate.read(saved, order.model.structure)
        except MessageError:
            return fresh
        self._log("restart", round=order.root_round, edge_round=order.first_edge_round + len(update.rounds))
        return update

    def _q(self, rounds: list[EdgeRound]) -> list[float]:
        """q_e: label distribution of all images that were trained on."""
        state = LabelState.initial(self.membership.number_of_classes)
        for client in (client for one in rounds for client in one.clients):
            state = state.add(self.membership.distribution(client), self.membership.profiles[client].samples)
        return [float(q) for q in state.q]

    def _edge_round(self, grid: Grid, task: TrainOrder, clients: list[str]) -> tuple[PackedModel, EdgeRound]:
        """Let `clients` train the edge's model and average what they send; without clients it stays."""
        if not clients:
            return task.model, EdgeRound([], 0, None, 0.0)
        started = time.perf_counter()
        accepted: dict[str, tuple[int, float]] = {}  # samples and loss; the models are not kept
        with OrderedAverage(clients, self.spool) as average:
            for update in self._sound_updates(grid, task, clients):
                q_k = self.membership.distribution(update.client)
                weight = member_weight(self.config.weighting.edge, update.samples, q_k)
                average.add(update.client, update.model.vector, weight)
                accepted[update.client] = (update.samples, update.loss)
            name = f"{self.edge}: edge round {task.edge_round}"
            check_quorum(name, "clients", len(accepted), len(clients), self.config.topology.quorum)
            model = PackedModel(task.model.structure, average.result())
        trained = [client for client in clients if client in accepted]  # not in the order of arrival
        samples = sum(accepted[client][0] for client in trained)
        one = EdgeRound(
            clients=trained,
            samples=samples,
            loss=sum(accepted[client][0] * accepted[client][1] for client in trained) / samples,
            seconds=round(time.perf_counter() - started, 3),
            down_bytes=len(clients) * model.vector.nbytes,
            up_bytes=len(trained) * model.vector.nbytes,
        )
        facts = {"clients": trained, "samples": one.samples, "loss": one.loss, "seconds": one.seconds}
        self._log("aggregate", round=task.root_round, edge_round=task.edge_round, **facts)
        return model, one

    def _sound_updates(self, grid: Grid, task: TrainOrder, clients: list[str]) -> Iterator[ClientUpdate]:
        """Send the task and yield the updates that may count, as they come; log what became of each."""
        by_node = {self.membership.nodes[client]: client for client in clients}
        for reply in exchange(grid, self._messages(task, by_node), self.config.topology.round_timeout, self.patience):
            client = by_node[reply.metadata.src_node_id]
            where = {"round": task.root_round, "edge_round": task.edge_round, "peer": client}
            if reply.has_error():
                self._log("lost", **where, reason=f"error {reply.error.code}: {reply.error.reason}")
                continue
            try:
                update = self._check(ClientUpdate.read(reply.content, task.model.structure), client, task)
            except MessageError as error:
                self._log("refuse", **where, reason=str(error))
                continue
            facts = {"samples": update.samples, "loss": update.loss, "seconds": round(update.seconds, 3)}
            self._log("accept", **where, **_traffic(update.model, reply.content), **facts)
            yield update

    def _messages(self, task: TrainOrder, by_node: dict[int, str]) -> Iterator[Message]:
        content = task.write()  # one content for all: it is encoded and stored once
        for node, client in by_node.items():
            where = {"round": task.root_round, "edge_round": task.edge_round, "peer": client}
            self._log("send", **where, **_traffic(task.model, content))
            # Undelivered at its deadline, an order must not be trained on by a client that comes back later.
            ttl = self.config.topology.round_timeout
            yield Message(content, node, TRAIN, ttl=ttl, group_id=f"{task.root_round}.{task.edge_round}")

    def _resent(self, message: Message, reason: str) -> None:
        """Log that a message is sent again; orders bear their rounds as Flower's group id."""
        by_node = {node: client for client, node in self.membership.nodes.items()}
        where: dict[str, object] = {"peer": by_node.get(message.metadata.dst_node_id, "a client")}
        if message.metadata.message_type == TRAIN:
            root_round, edge_round = message.metadata.group_id.split(".")
            where |= {"round": int(root_round), "edge_round": int(edge_round)}
            where |= _traffic(TrainOrder.read(message.content).model, message.content)
        self._log("resend", **where, reason=reason)

    def _check(self, update: ClientUpdate, client: str, task: TrainOrder) -> ClientUpdate:
        """Refuse what answers another question than the one that was asked."""
        if update.client != client:
            raise MessageError(f"comes from {shortened(update.client)}")
        if update.edge_round != task.edge_round:
            raise MessageError(f"is for edge round {update.edge_round}, not {task.edge_round}")
        registered = self.membership.profiles[client].samples
        if not 0 < update.samples <= registered:
            raise MessageError(f"claims {update.samples} images; {registered} were registered")
        return update

    def _log(self, event: str, **facts: object) -> None:
        self.ledger.event(event, tier="edge", node=self.edge, **facts)


def _traffic(model: PackedModel, content: RecordDict) -> dict[str, object]:
    return {
        "hop": HOP,
        "payload_bytes": model.vector.nbytes,
        "encoded_bytes": content_bytes(content),
        "structure": model.structure.id,
    }

"""The edge's work in one root round: r_g edge rounds of training at its clients and averaging.

`EdgeAggregator` knows only a Flower `Grid` of clients. It is the same object in the edge's own
ServerApp, in Ray simulation and in tests.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedphd.common.averaging.homogeneity import LabelState
from fedphd.common.config import EXACT, Config
from fedphd.common.flower.delivery import Patience
from fedphd.common.network.packing import PackedModel
from fedphd.common.run.hop_log import HopLog
from fedphd.common.run.ledger import Entry, Ledger
from fedphd.common.wire.codec import Codec
from fedphd.common.wire.codec.coded import CodedModel, code
from fedphd.common.wire.links import Downlink, plain
from fedphd.common.wire.messages import TRAIN, EdgeRound, EdgeUpdate, Errand, Fetch, Roster, RoundOrder, TrainOrder
from fedphd.common.wire.parts import restrict
from fedphd.common.wire.records import MessageError
from fedphd.edge.edge_round import EdgeRoundRunner, Outcome
from fedphd.edge.gathering import Gathering
from fedphd.edge.keeping import EdgeKeeper
from fedphd.edge.membership import Membership
from fedphd.edge.spool import GATHERED, Progress


@dataclass(frozen=True)
class Work:
    """Where an edge is in a root round.

    Attributes
    ----------
    model : PackedModel
        The edge's model after its last edge round.
    control : PackedModel or None
        Sum of its clients' changes of control variates so far.
    rounds, events : list
        As in `EdgeUpdate`.
    """

    model: PackedModel
    control: PackedModel | None = None
    rounds: list[EdgeRound] = field(default_factory=list)
    events: list[Entry] = field(default_factory=list)

    def after(self, outcome: Outcome, events: list[Entry]) -> "Work":
        """Add an edge round."""
        control = outcome.control if self.control is None else self.control
        if self.control is not None and outcome.control is not None:
            control = PackedModel(self.control.structure, self.control.vector + outcome.control.vector)
        return Work(outcome.model, control, [*self.rounds, outcome.report], [*self.events, *events])


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
    folder : Path
        What the edge keeps from round to round.
    members : Path, optional
        File that keeps who registered, for an edge that may be started again.
    """

    def __init__(
        self, edge: str, config: Config, ledger: Ledger, spool: Path, folder: Path, members: Path | None = None
    ) -> None:
        self.edge = edge
        self.config = config
        self.ledger = ledger
        self.spool = spool
        self.folder = folder
        self.membership = Membership(edge, config.topology, members)
        self.patience = Patience(config.topology.rejoin_timeout, self._resent)
        self.log = HopLog(ledger, "access", tier="edge", node=edge)
        self.shared = config.exchange.shared
        self.downlink = Downlink(config.codec.access.down, self.shared)
        self.gathering = Gathering(edge, config, self.membership, self.log, self.patience, folder / GATHERED)

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
        self.log.event("register", clients=self.membership.expected)
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
        MessageError, CodecError
            If the order cannot be used.
        MissingModelError
            If it builds on a model that is not here.
        QuorumError
            If fewer than `topology.quorum` of an edge round's clients gave a sound update.
        """
        order = RoundOrder.read(content)
        self.gathering.forget()
        self._meet(grid, {client for clients in order.assignment for client in clients})
        keeper = EdgeKeeper(self.folder, self.config, self.edge, order.root_round, order.pruning)
        received = keeper.receive(order.download)
        runner = EdgeRoundRunner(self.edge, self.config, self.membership, self.log, self.patience, self.spool, order)
        work = self._start(order, received, progress)
        for edge_round, clients in list(enumerate(order.assignment, order.first_edge_round))[len(work.rounds) :]:
            if clients:
                self.downlink.begin(work.model, edge_round, keeper.reference(edge_round, work.model.structure))
                keeper.keep_reference(edge_round, self.downlink.sent)
            outcome = runner.run(grid, self.downlink, work.model, edge_round, clients)
            work = work.after(outcome, self.ledger.to_forward())
            if progress is not None and len(work.rounds) < len(order.assignment):
                progress.save(self._draft(order, work).write())
        return self._final(order, work, keeper, received).write()

    def gather(self, grid: Grid, task: str, content: RecordDict) -> RecordDict:
        """Run an errand of the root's at single clients, and keep what they give.

        Returns
        -------
        RecordDict
            `Gathered`: who gave something.
        """
        errand = Errand.read(content)
        self._meet(grid, set(errand.clients))
        keeper = EdgeKeeper(self.folder, self.config, self.edge, errand.root_round + 1)
        aside = Downlink(plain(self.config.codec.access.down), self.shared)
        aside.begin(keeper.receive(errand.download, keep=False), errand.root_round)
        for client in filter(self.downlink.holds, errand.clients):
            aside.confirm(client)
        self.gathering.forget()
        gathered = self.gathering.gather(grid, task, errand, aside)
        return replace(gathered, events=self.ledger.to_forward()).write()

    def fetch(self, content: RecordDict) -> RecordDict:
        """Give the root what one client gave for the latest errand."""
        return self.gathering.fetch(Fetch.read(content))

    def _meet(self, grid: Grid, clients: set[str]) -> None:
        """Make sure that the clients are known."""
        if not self.membership.complete:
            self.membership.register(grid, self.patience)
        strangers = clients - set(self.membership.nodes)
        if strangers:
            raise MessageError(f"{self.edge} has no clients {', '.join(sorted(strangers))}")

    def _start(self, order: RoundOrder, received: PackedModel, progress: Progress | None) -> Work:
        """Begin with the root's model, or go on where an earlier process of this edge was stopped."""
        saved = progress.load() if progress is not None else None
        if saved is None:
            return Work(received)
        try:
            update = EdgeUpdate.read(saved, restrict(received.structure, self.shared))
        except MessageError:
            return Work(received)
        self.log.event("restart", round=order.root_round, edge_round=order.first_edge_round + len(update.rounds))
        control = None if update.control is None else update.control.decode()
        return Work(received.overlay(update.model.decode()), control, update.rounds, update.events)

    def _draft(self, order: RoundOrder, work: Work) -> EdgeUpdate:
        """Write down the work so far, exactly."""
        model = code(work.model.select(restrict(work.model.structure, self.shared)), EXACT)
        return self._update(order, work, model, EXACT)

    def _final(self, order: RoundOrder, work: Work, keeper: EdgeKeeper, received: PackedModel) -> EdgeUpdate:
        """Report to the root."""
        model = keeper.report(work.model, received)
        return self._update(order, work, model, plain(self.config.backbone.up))

    def _update(self, order: RoundOrder, work: Work, model: CodedModel, codec: Codec) -> EdgeUpdate:
        control = None if work.control is None else code(work.control, codec)
        q = self._q(work.rounds)
        return EdgeUpdate(model, self.edge, order.root_round, q, work.rounds, work.events, control)

    def _q(self, rounds: list[EdgeRound]) -> list[float]:
        """q_e: label distribution of all images that were trained on."""
        state = LabelState.initial(self.membership.number_of_classes)
        for client in (client for one in rounds for client in one.clients):
            state = state.add(self.membership.distribution(client), self.membership.profiles[client].samples)
        return [float(q) for q in state.q]

    def _resent(self, message: Message, reason: str) -> None:
        """Log that a message is sent again; orders bear their rounds as Flower's group id."""
        by_node = {node: client for client, node in self.membership.nodes.items()}
        peer = by_node.get(message.metadata.dst_node_id, "a client")
        if message.metadata.message_type != TRAIN:
            self.log.event("resend", peer=peer, reason=reason)
            return
        order = TrainOrder.read(message.content)
        where = {"round": order.root_round, "edge_round": order.edge_round, "peer": peer, "reason": reason}
        self.log.crossed("resend", message.content, order.download.model, order.control, **where)

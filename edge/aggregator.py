"""The edge's work in one root round: r_g edge rounds of training at its clients and averaging.

`EdgeAggregator` knows only a Flower `Grid` of clients. It is the same object in the edge's own
ServerApp, in Ray simulation and in tests.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from flwr.app import RecordDict
from flwr.serverapp import Grid

from fedphd.common.averaging.homogeneity import LabelState
from fedphd.common.config import EXACT, Config
from fedphd.common.flower.boundary import Boundary
from fedphd.common.flower.roll_call import check_able
from fedphd.common.network.packing import PackedModel
from fedphd.common.run.events import Event, Register, Restart
from fedphd.common.run.hop_log import HopLog
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.codec import Codec
from fedphd.common.wire.codec.coded import CodedModel, code
from fedphd.common.wire.links import Downlink, lossless, rounding_seed, standalone
from fedphd.common.wire.messages import EdgeRound, EdgeUpdate, Errand, Fetch, Roster, RoundOrder
from fedphd.common.wire.parts import restrict
from fedphd.common.wire.records import MessageError
from fedphd.edge.edge_progress import EdgeProgress
from fedphd.edge.edge_round import EdgeRoundRunner, Outcome
from fedphd.edge.edge_site import EdgeSite
from fedphd.edge.gathering import Gathering
from fedphd.edge.keeping import EdgeKeeper
from fedphd.edge.membership import Membership
from fedphd.edge.spool import GATHERED


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
    events: list[Event] = field(default_factory=list)

    def after(self, outcome: Outcome, events: list[Event]) -> "Work":
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
        self.shared = config.exchange.shared
        log = HopLog(ledger, "access", edge)
        boundary = Boundary(log, config.topology.rejoin_timeout)
        downlink = Downlink(config.codec.access.down, self.shared, rounding_seed(config.seed, "down", edge))
        self.site = EdgeSite(edge, config, Membership(edge, config.topology, members), downlink, boundary)
        self.gathering = Gathering(self.site, folder / GATHERED)

    def register(self, grid: Grid) -> RecordDict:
        """Ask all clients of this edge who they are.

        Returns
        -------
        RecordDict
            The edge's `Roster`; it says which clients cannot take part.

        Raises
        ------
        RegistrationError
            If not all of the topology's clients answer in time.
        """
        members = self.site.membership
        members.register(grid, self.site.boundary.patience)
        known = members.profiles
        profiles = [known[client] for client in members.expected if client in known]
        if members.complete:
            self.site.log.write(Register(clients=members.expected))
        return Roster(self.edge, profiles, self.ledger.to_forward(), members.unable).write()

    def run_round(self, grid: Grid, content: RecordDict, progress: EdgeProgress | None = None) -> RecordDict:
        """Run all edge rounds of one root round.

        Parameters
        ----------
        grid : Grid
            This edge's clients.
        content : RecordDict
            The root's `RoundOrder`.
        progress : EdgeProgress, optional
            Keeps the edge rounds that are over: an edge that is started again goes on after them.

        Returns
        -------
        RecordDict
            The `EdgeUpdate`: the edge's model after its last edge round, and what happened.

        Raises
        ------
        MessageError, CodecError
            If the order cannot be used.
        MissingStateError
            If it builds on a model that is not here.
        QuorumError
            If fewer than `topology.quorum` of an edge round's clients gave a sound update.
        """
        order = RoundOrder.read(content)
        self.gathering.forget()
        self._meet(grid, {client for clients in order.assignment for client in clients})
        keeper = EdgeKeeper(self.folder, self.config, self.edge, order.root_round, order.lineage)
        received = keeper.receive(order.download)
        runner = EdgeRoundRunner(self.site, order, self.spool)
        work = self._start(order, received, progress)
        for edge_round, clients in list(enumerate(order.assignment, order.first_edge_round))[len(work.rounds) :]:
            if clients:
                self.site.downlink.begin(work.model, edge_round, keeper.reference(edge_round, work.model.structure))
                keeper.keep_reference(edge_round, self.site.downlink.sent)
            outcome = runner.run(grid, work.model, edge_round, clients)
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
        aside = Downlink(standalone(self.config.codec.access.down), self.shared)
        aside.begin(keeper.receive(errand.download, keep=False), errand.root_round)
        for client in filter(self.site.downlink.holds, errand.clients):
            aside.confirm(client)
        self.gathering.forget()
        gathered = self.gathering.gather(grid, task, errand, aside)
        return replace(gathered, events=self.ledger.to_forward()).write()

    def fetch(self, content: RecordDict) -> RecordDict:
        """Give the root what one client gave for the latest errand."""
        return self.gathering.fetch(Fetch.read(content))

    def _meet(self, grid: Grid, clients: set[str]) -> None:
        """Make sure that the clients are known."""
        if not self.site.membership.complete:
            self.site.membership.register(grid, self.site.boundary.patience)
        check_able(self.site.membership.unable)
        strangers = clients - set(self.site.membership.nodes)
        if strangers:
            raise MessageError(f"{self.edge} has no clients {', '.join(sorted(strangers))}")

    def _start(self, order: RoundOrder, received: PackedModel, progress: EdgeProgress | None) -> Work:
        """Begin with the root's model, or go on where an earlier process of this edge was stopped."""
        saved = progress.load() if progress is not None else None
        if saved is None:
            return Work(received)
        try:
            update = EdgeUpdate.read(saved, restrict(received.structure, self.shared))
        except MessageError:
            return Work(received)
        edge_round = order.first_edge_round + len(update.rounds)
        self.site.log.write(Restart(round=order.root_round, edge_round=edge_round))
        control = None if update.control is None else update.control.decode()
        return Work(received.overlay(update.model.decode()), control, update.rounds, update.events)

    def _draft(self, order: RoundOrder, work: Work) -> EdgeUpdate:
        """Write down the work so far, exactly."""
        model = code(work.model.select(restrict(work.model.structure, self.shared)), EXACT)
        return self._update(order, work, model, EXACT)

    def _final(self, order: RoundOrder, work: Work, keeper: EdgeKeeper, received: PackedModel) -> EdgeUpdate:
        """Report to the root; the changes of control variates exactly, since rounding errors would add up in c."""
        model = keeper.report(work.model, received)
        return self._update(order, work, model, lossless(self.config.backbone.up))

    def _update(self, order: RoundOrder, work: Work, model: CodedModel, codec: Codec) -> EdgeUpdate:
        control = None if work.control is None else code(work.control, codec)
        q = self._q(work.rounds)
        return EdgeUpdate(model, self.edge, order.root_round, q, work.rounds, work.events, control)

    def _q(self, rounds: list[EdgeRound]) -> list[float]:
        """q_e: label distribution of all images that were trained on."""
        members = self.site.membership
        state, profiles = LabelState.initial(len(members.classes)), members.profiles
        for client in (client for one in rounds for client in one.clients):
            state = state.add(members.distribution(client), profiles[client].samples)
        return [float(q) for q in state.q]

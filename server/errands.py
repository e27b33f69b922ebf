"""Errands of the root at single clients, through their edges: a local model, or images, of each client's own."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedphd.common.config import Config
from fedphd.common.config.topology import edge_timeout
from fedphd.common.errors import FedPhDError
from fedphd.common.flower.delivery import Patience, exchange
from fedphd.common.network.build import pixel_shape
from fedphd.common.network.lineage import write_pruning
from fedphd.common.network.packing import PackedModel
from fedphd.common.run.hop_log import HopLog
from fedphd.common.wire.codec import CodecError
from fedphd.common.wire.codec.coded import code
from fedphd.common.wire.links import Downlink, Download, plain
from fedphd.common.wire.messages import DRAW, FETCH, LOCAL, TASKS, ClientUpdate, Drawing, Errand, Fetch, Gathered
from fedphd.common.wire.parts import PARTS, restrict
from fedphd.common.wire.records import MessageError, check_sender
from fedphd.server.registry import Registry
from fedphd.server.state import GlobalState


class ErrandError(FedPhDError):
    """A client did not give what the run cannot go on without."""


class Errands:
    """Sends clients on errands.

    Parameters
    ----------
    grid : Grid
        Its nodes are the edges.
    config : Config
        The run's configuration.
    registry : Registry
        Edges and clients.
    state : GlobalState
        What is sent, and where traffic is counted.
    downlink : Downlink
        The strategy's; knows which edges need the whole network.
    log : HopLog
        Of the backbone.
    patience : Patience
        For edges that go away.
    """

    def __init__(
        self,
        grid: Grid,
        config: Config,
        registry: Registry,
        state: GlobalState,
        downlink: Downlink,
        log: HopLog,
        patience: Patience,
    ) -> None:
        self.grid = grid
        self.patience = patience
        self.config = config
        self.registry = registry
        self.state = state
        self.downlink = downlink
        self.log = log

    def local_models(self, clients: Iterable[str], start: PackedModel) -> "LocalModels":
        """Let clients train models of their own from `start`, when the first one is asked for."""
        return LocalModels(self, list(clients), start)

    def drawings(self, images: int) -> Iterator[Drawing]:
        """Let every client draw images with its own parts of the present model, and yield them one by one.

        Clients that do not answer, or not soundly, are left out; the ledger says why.
        """
        shape = (images, *pixel_shape(self.config.model))
        for client in self.gather(DRAW, list(self.registry.profiles), self.state.model, images):
            try:
                content = self.fetch(DRAW, client)
                drawing = Drawing.read(content, shape)
                check_sender(drawing.client, client)
            except (ErrandError, MessageError) as error:
                self.log.event("refuse", round=self.state.round, edge_round=None, peer=client, reason=str(error))
                continue
            crossed = drawing.images.nbytes if self.log.exists else 0
            self.log.crossed("accept", content, **self.where(DRAW, client), payload_bytes=crossed)
            yield drawing

    def gather(self, task: str, clients: Iterable[str], model: PackedModel, images: int = 0) -> list[str]:
        """Let edges gather what their clients give.

        Parameters
        ----------
        task : str
            The message type: LOCAL or DRAW.
        clients : Iterable[str]
            Who is asked, each at its first home.
        model : PackedModel
            What they work with.
        images : int
            Images that each is to draw.

        Returns
        -------
        list[str]
            The clients that gave something, in the order of the registry.
        """
        at: dict[str, list[str]] = defaultdict(list)
        for client in clients:
            at[self.registry.homes[client][0]].append(client)
        given: set[str] = set()
        messages = self._messages(task, at, model, images)
        for reply in exchange(self.grid, messages, edge_timeout(self.config.topology), self.patience):
            edge = self.registry.edge_at(reply.metadata.src_node_id)
            if reply.has_error():
                reason = f"error {reply.error.code}: {reply.error.reason}"
                self.log.event("lost", **self.where(task, edge), reason=reason)
                continue
            try:
                gathered = Gathered.read(reply.content)
            except MessageError as error:
                self.log.event("refuse", **self.where(task, edge), reason=str(error))
                continue
            self.log.ledger.take_forwarded(edge, gathered.events)
            given |= set(gathered.clients) & set(at[edge])
            if task == LOCAL:  # what only measures is not the method's traffic
                self.state.count("access_down", gathered.down)
                self.state.count("access_up", gathered.up)
        return [client for client in self.registry.profiles if client in given]

    def fetch(self, task: str, client: str) -> RecordDict:
        """Fetch what one client gave.

        Raises
        ------
        ErrandError
            If its edge does not have it.
        """
        node = self.registry.nodes[self.registry.homes[client][0]]
        content = Fetch(task, self.state.round, client).write()
        ttl = edge_timeout(self.config.topology)
        for reply in exchange(self.grid, [Message(content, node, FETCH, ttl=ttl)], ttl, self.patience):
            if not reply.has_error():
                return reply.content
            raise ErrandError(f"{client}: {reply.error.reason}")
        raise ErrandError(f"{client}: no answer")

    def _messages(self, task: str, at: Mapping[str, list[str]], model: PackedModel, images: int) -> Iterator[Message]:
        pruning = write_pruning(self.state.pruning)
        downloads: dict[tuple[str, ...], Download] = {}
        for edge, clients in at.items():
            parts = self._parts(edge, model)
            if parts not in downloads:
                downloads[parts] = self._download(model, parts)
            errand = Errand(downloads[parts], self.state.round, clients, images, pruning)
            content = errand.write()
            traffic = self.log.crossed("send", content, errand.download.model, **self.where(task, edge))
            if task == LOCAL:
                self.state.count("backbone_down", traffic)
            ttl = edge_timeout(self.config.topology)
            yield Message(content, self.registry.nodes[edge], task, ttl=ttl, group_id=str(self.state.round))

    def _parts(self, edge: str, model: PackedModel) -> tuple[str, ...]:
        known = self.downlink.holds(edge) and self.downlink.sent.structure == model.structure
        return self.downlink.shared if known else PARTS

    def _download(self, model: PackedModel, parts: tuple[str, ...]) -> Download:
        coded = code(model.select(restrict(model.structure, parts)), plain(self.config.backbone.down))
        return Download(coded, model.structure, parts, self.config.exchange.shared)

    def where(self, task: str, peer: str) -> dict[str, object]:
        """Say for the ledger which errand this is."""
        return {"round": self.state.round, "edge_round": None, "peer": peer, "task": TASKS[task]}


class LocalModels:
    """Models that clients train on their own images only (FedDDPM's warm-up); fetched one at a time.

    Parameters
    ----------
    errands : Errands
        Reaches the clients.
    clients : list[str]
        Whose models will be asked for.
    start : PackedModel
        The model that they begin with.
    """

    def __init__(self, errands: Errands, clients: list[str], start: PackedModel) -> None:
        self.errands = errands
        self.clients = clients
        self.start = start
        self._given: list[str] | None = None

    def __call__(self, client: str) -> PackedModel:
        """Give one client's local model.

        Raises
        ------
        ErrandError
            If the client did not train one, or it cannot be used.
        """
        if self._given is None:
            self._given = self.errands.gather(LOCAL, self.clients, self.start)
        if client not in self._given:
            raise ErrandError(f"{client} gave no local model; see the ledger, and resume the run when it is there")
        content = self.errands.fetch(LOCAL, client)
        try:
            update = ClientUpdate.read(content, self.start.structure)
            check_sender(update.client, client)
            model = update.model.decode()
        except (MessageError, CodecError) as error:
            raise ErrandError(f"{client}'s local model cannot be used: {error}") from None
        facts = {"samples": update.samples, "loss": update.loss, "seconds": round(update.seconds, 3)}
        traffic = self.errands.log.crossed(
            "accept", content, update.model, **self.errands.where(LOCAL, client), **facts
        )
        self.errands.state.count("backbone_up", traffic)
        return model

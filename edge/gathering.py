"""Errands: clients do something each for itself, and the edge keeps what each gave until the root fetches it."""

from collections.abc import Iterator
from pathlib import Path

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedphd.common.config import Config
from fedphd.common.flower.delivery import Patience, exchange
from fedphd.common.network.build import pixel_shape
from fedphd.common.run.events import Accept, Lost, Refuse, Send
from fedphd.common.run.hop_log import HopLog
from fedphd.common.wire.codec import CodecError
from fedphd.common.wire.content_file import ContentFileError, read_content, write_content
from fedphd.common.wire.links import Downlink
from fedphd.common.wire.messages import DRAW, TASKS, ClientErrand, ClientUpdate, Drawing, Errand, Fetch, Gathered
from fedphd.common.wire.records import MessageError, check_sender
from fedphd.common.wire.traffic import NO_TRAFFIC, Traffic, total
from fedphd.edge.membership import Membership


class Gathering:
    """What the clients of one edge give.

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
    folder : Path
        Takes what the clients give.
    """

    def __init__(
        self, edge: str, config: Config, membership: Membership, log: HopLog, patience: Patience, folder: Path
    ) -> None:
        self.edge = edge
        self.config = config
        self.membership = membership
        self.log = log
        self.patience = patience
        self.folder = folder

    def gather(self, grid: Grid, task: str, errand: Errand, downlink: Downlink) -> Gathered:
        """Send the errand to its clients and keep what they give.

        Parameters
        ----------
        grid : Grid
            This edge's clients.
        task : str
            The message type: LOCAL or DRAW.
        errand : Errand
            The root's.
        downlink : Downlink
            Has begun with the model, and knows which client needs all of it.
        """
        orders = {client: self._order(errand, downlink, client) for client in errand.clients}
        by_node = {self.membership.nodes[client]: client for client in orders}
        down = total(Traffic.of(order.download.model) for order in orders.values())
        up, given = NO_TRAFFIC, []
        messages = self._messages(task, orders)
        for reply in exchange(grid, messages, self.config.topology.round_timeout, self.patience):
            client = by_node[reply.metadata.src_node_id]
            where = {"round": errand.root_round, "peer": client, "task": TASKS[task]}
            if reply.has_error():
                self.log.write(Lost(**where, reason=f"error {reply.error.code}: {reply.error.reason}"))
                continue
            try:
                up += self._accept(task, client, reply.content, orders[client], where)
            except (MessageError, CodecError) as error:
                self.log.write(Refuse(**where, reason=str(error)))
                continue
            write_content(self._file(task, errand.root_round, client), reply.content)
            given.append(client)
        return Gathered(self.edge, [client for client in orders if client in given], down, up)

    def fetch(self, fetch: Fetch) -> RecordDict:
        """Give what a client gave, as it came.

        Raises
        ------
        MessageError
            If it gave nothing.
        """
        try:
            return read_content(self._file(fetch.errand, fetch.root_round, fetch.client))[0]
        except ContentFileError:
            raise MessageError(f"{self.edge} has nothing of {fetch.client} for {fetch.errand}") from None

    def forget(self) -> None:
        """Remove what earlier errands gave."""
        for file in self.folder.glob("*.safetensors"):
            file.unlink()

    def _order(self, errand: Errand, downlink: Downlink, client: str) -> ClientErrand:
        edge_round = errand.root_round * self.config.topology.edge_rounds  # after those of this root round
        return ClientErrand(
            downlink.message(client), self.edge, errand.root_round + 1, edge_round, errand.images, errand.pruning
        )

    def _messages(self, task: str, orders: dict[str, ClientErrand]) -> Iterator[Message]:
        for client, order in orders.items():
            content = order.write()
            where = {"round": order.root_round - 1, "peer": client, "task": TASKS[task]}
            self.log.crossed(Send, content, order.download.model, **where)
            yield Message(content, self.membership.nodes[client], task, ttl=self.config.topology.round_timeout)

    def _accept(
        self, task: str, client: str, content: RecordDict, order: ClientErrand, where: dict[str, object]
    ) -> Traffic:
        """Check what a client gave, and write it to the ledger."""
        if task == DRAW:
            drawing = Drawing.read(content, (order.images, *pixel_shape(self.config.model)))
            check_sender(drawing.client, client)
            self.log.crossed(Accept, content, **where, payload_bytes=drawing.images.nbytes)
            return Traffic(1, 0, drawing.images.nbytes)
        update = ClientUpdate.read(content, order.download.structure)
        check_sender(update.client, client)
        if update.control is not None:
            raise MessageError("unasked change of control variates")
        update.model.decode()  # the root must be able to
        facts = {"samples": update.samples, "loss": update.loss, "seconds": round(update.seconds, 3)}
        return self.log.crossed(Accept, content, update.model, **where, **facts)

    def _file(self, task: str, root_round: int, client: str) -> Path:
        return self.folder / f"{TASKS.get(task, 'other')}.{root_round}.{Path(client).name}.safetensors"

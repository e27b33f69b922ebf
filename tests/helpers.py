"""What several tests build on: small configurations, models, clients and grids, all of them real."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from fedphd.common.config import EXACT, Config, compose
from fedphd.common.config.topology import client_id
from fedphd.common.flower.grids import BaseGrid
from fedphd.common.network.build import pixel_shape
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.run.json_lines import read_lines
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.codec.coded import CodedModel, code
from fedphd.common.wire.exchange import EXCHANGES, Exchange
from fedphd.common.wire.links import Download, rounding_seed, standalone, upload
from fedphd.common.wire.messages import ClientErrand, ClientUpdate, Drawing, Profile, TrainOrder, Unable
from fedphd.common.wire.parts import PARTS, Parts, restrict
from fedphd.launch.runtimes.client_grid import InProcessGrid

NEVER = 10**9  # polls
SHARED = {kind: EXCHANGES.find(kind).shared for kind in EXCHANGES.kinds}  # what travels, by the exchange


@cache
def small_config(*overrides: str) -> Config:
    """Compose FedAvg on evenly spread digits, two edges and four clients, in this process, with more `overrides`."""
    return compose(
        [
            "method=fedavg",
            "runtime=inprocess",
            "partition=iid",
            "evaluation=grid",
            "rounds=2",
            "ema_decay=null",
            "topology.clients=4",
            "topology.edges=2",
            "topology.edge_rounds=2",
            "topology.participation=1",
            "topology.quorum=0.5",
            "topology.round_timeout=20",
            *overrides,
        ]
    )


def exchange_of(kind: str) -> Exchange:
    """Make an exchange."""
    return EXCHANGES.read({"kind": kind})


def packed(*numbers: float, name: str = "w") -> PackedModel:
    """Pack a network of one flat tensor."""
    return PackedModel(Structure(((name, (len(numbers),)),)), np.array(numbers, np.float32))


def three_parts(encoder: Sequence[float], bottleneck: Sequence[float], decoder: Sequence[float]) -> PackedModel:
    """Pack a network of one flat tensor for each part of a U-Net."""
    tensors = {"conv_in.weight": encoder, "mid_block.weight": bottleneck, "conv_out.weight": decoder}
    structure = Structure(tuple((name, (len(numbers),)) for name, numbers in tensors.items()))
    return PackedModel(structure, np.array([*encoder, *bottleneck, *decoder], np.float32))


def exact(model: PackedModel) -> CodedModel:
    """Code a model as plain float32."""
    return code(model, EXACT)


def download(model: PackedModel, parts: Parts = PARTS, shared: Parts = PARTS) -> Download:
    """Send these parts of a network down, as plain float32."""
    return Download(exact(model.select(restrict(model.structure, parts))), model.structure, parts, shared)


def events(ledger: Ledger, *names: str) -> list[dict[str, object]]:
    """Read the ledger's events of the given names, in their order, without the time."""
    lines = [line for line in read_lines(ledger.path) if not names or line["event"] in names]
    return [{key: value for key, value in line.items() if key != "time"} for line in lines]


def profile(index: int, counts: Sequence[float]) -> Profile:
    """Make the profile of a client with `counts` images of classes named a, b, ..."""
    return Profile(client_id(index), int(sum(counts)), [chr(ord("a") + y) for y in range(len(counts))], list(counts))


Reply = Callable[[ClientUpdate, TrainOrder], RecordDict]


@dataclass
class Crowd:
    """Clients that answer as `fedphd.client.app` does, but train by adding a constant of their own.

    What a client keeps from round to round is in memory: its own parts, what each edge sent, what rounding took away.

    Attributes
    ----------
    counts : list[list[float]]
        Each client's images of each class.
    adds : list[float]
        What each client adds to every weight in an edge round; also the change of its control variates.
    names : dict[int, str]
        Ids that clients claim instead of their own.
    classes : dict[int, list[str]]
        Names of clients' classes, where they are not a, b, ...
    unable : dict[int, str]
        Why clients cannot take part.
    replies : dict[int, Reply]
        How clients write their update, where not soundly; may raise.
    config : Config
        Says how updates are coded, and how large drawn images are.
    """

    counts: list[list[float]]
    adds: list[float]
    names: dict[int, str] = field(default_factory=dict)
    classes: dict[int, list[str]] = field(default_factory=dict)
    unable: dict[int, str] = field(default_factory=dict)
    replies: dict[int, Reply] = field(default_factory=dict)
    config: Config = field(default_factory=small_config)

    def __post_init__(self) -> None:
        self.trained: dict[int, dict[int, PackedModel]] = {}  # by client and edge round, the whole network
        self.received: dict[tuple[int, str, int], PackedModel] = {}  # by client, edge and edge round
        self.residuals: dict[int, dict[int, PackedModel]] = {}  # by client and edge round

    def profile(self, index: int) -> Profile:
        own = profile(index, self.counts[index])
        classes = self.classes.get(index, own.classes)
        return Profile(self.names.get(index, own.client), own.samples, classes, own.counts)

    def answer(self, index: int) -> Profile | Unable:
        """Answer the roll call."""
        return Unable(client_id(index), self.unable[index]) if index in self.unable else self.profile(index)

    def receive(self, index: int, order: TrainOrder | ClientErrand) -> PackedModel:
        """Make the whole network of what came and what the client has; raises KeyError or ValueError if it cannot."""
        down = order.download
        base = None if down.base is None else self.received[index, order.edge, down.base]
        decoded = down.model.decode(base)
        if down.shared == PARTS:
            return decoded
        own = _before(self.trained.get(index, {}), order.edge_round, down.structure)
        if down.whole:
            personal = restrict(down.structure, tuple(part for part in PARTS if part not in down.shared))
            return decoded if own is None else decoded.overlay(own.select(personal))
        if own is None:
            raise ValueError("this client has no parts of its own")
        return own.overlay(decoded)

    def update(self, index: int, order: TrainOrder) -> ClientUpdate:
        network, codec = self.receive(index, order), self.config.codec.access
        shared = restrict(network.structure, order.download.shared)
        self.received[index, order.edge, order.edge_round] = received = network.select(shared)
        network = self.trained.setdefault(index, {})[order.edge_round] = _plus(network, self.adds[index])
        residuals = self.residuals.setdefault(index, {})
        residual = _before(residuals, order.edge_round, shared)
        model, rest = upload(
            network.select(order.answer),
            received,
            codec.up,
            None if residual is None else residual.select(order.answer),
            rounding_seed(self.config.seed, "up", client_id(index), order.edge_round),
        )
        if rest is not None:
            residuals[order.edge_round] = (_zeros(shared) if residual is None else residual).overlay(rest)
        own = self.profile(index)
        update = ClientUpdate(model, own.client, order.edge_round, own.samples, 1.0 + index, 0.5)
        if not (self.config.objective.control_variates and order.final):
            return update
        change = _plus(_zeros(order.answer), self.adds[index])
        return replace(update, control=upload(change, change, standalone(codec.up), None)[0])

    def local(self, index: int, errand: ClientErrand) -> ClientUpdate:
        """Give a model of the client's own: what came, and its constant."""
        model, own = _plus(self.receive(index, errand), self.adds[index]), self.profile(index)
        coded, _ = upload(model, model, standalone(self.config.codec.access.up), None)
        return ClientUpdate(coded, own.client, errand.edge_round, own.samples, 1.0 + index, 0.5)

    def drawing(self, index: int, errand: ClientErrand) -> Drawing:
        """Draw images of which all pixels are the client's number."""
        self.receive(index, errand)
        shape = (errand.images, *pixel_shape(self.config.model))
        return Drawing(self.profile(index).client, np.full(shape, index, np.uint8), True)

    def app(self) -> ClientApp:
        app = ClientApp()

        @app.query("register")
        def register(message: Message, context: Context) -> Message:
            return Message(self.answer(_index(context)).write(), reply_to=message)

        @app.train()
        def train(message: Message, context: Context) -> Message:
            index, order = _index(context), TrainOrder.read(message.content)
            write = self.replies.get(index, lambda update, _order: update.write())
            return Message(write(self.update(index, order), order), reply_to=message)

        @app.train("local")
        def local(message: Message, context: Context) -> Message:
            update = self.local(_index(context), ClientErrand.read(message.content))
            return Message(update.write(), reply_to=message)

        @app.evaluate()
        def draw(message: Message, context: Context) -> Message:
            drawing = self.drawing(_index(context), ClientErrand.read(message.content))
            return Message(drawing.write(), reply_to=message)

        return app

    def grid(self) -> InProcessGrid:
        """Make a grid on which client i is node i + 1."""
        return InProcessGrid(self.app(), len(self.counts), {})


def _index(context: Context) -> int:
    return int(context.node_config["partition-id"])


def _zeros(structure: Structure) -> PackedModel:
    return PackedModel(structure, np.zeros(structure.size, np.float32))


def _plus(model: PackedModel, constant: float) -> PackedModel:
    return PackedModel(model.structure, model.vector + np.float32(constant))


def _before(states: Mapping[int, PackedModel], edge_round: int, structure: Structure) -> PackedModel | None:
    """Find the newest state from before an edge round, if the network is still the same."""
    earlier = [one for one in states if one < edge_round]
    state = states[max(earlier)] if earlier else None
    return state if state is not None and state.structure == structure else None


class SlowGrid(BaseGrid):
    """A grid that hands out the replies of some nodes only after so many polls for them."""

    def __init__(self, below: Grid, polls: Mapping[int, int], message_type: str = "train") -> None:
        super().__init__(below)
        self.polls = polls
        self.message_type = message_type
        self._left: dict[str, int] = {}

    def get_node_ids(self) -> list[int]:
        return list(self.below.get_node_ids())

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            slow = message.metadata.message_type == self.message_type
            [message_id] = self.below.push_messages([message])
            self._left[message_id] = self.polls.get(message.metadata.dst_node_id, 0) if slow else 0
            ids.append(message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        ready = []
        for message_id in message_ids:
            if self._left[message_id] == 0:
                ready.append(message_id)
            else:
                self._left[message_id] -= 1
        return list(self.below.pull_messages(ready))

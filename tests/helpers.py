"""What several tests build on: small configurations, models, clients and grids, all of them real."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from common.config import Config, compose
from common.flower.grids import BaseGrid
from common.flower.inprocess import InProcessGrid
from common.ledger import Ledger, read_lines
from common.messages import ClientUpdate, Profile, TrainOrder
from common.packing import PackedModel
from common.structure import Structure
from common.topology import client_id

NEVER = 10**9  # polls


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


def packed(*numbers: float, name: str = "w") -> PackedModel:
    """Pack a network of one flat tensor."""
    return PackedModel(Structure(((name, (len(numbers),)),)), np.array(numbers, np.float32))


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
    """Clients that answer as `client.app` does, but train by adding a constant of their own.

    Attributes
    ----------
    counts : list[list[float]]
        Each client's images of each class.
    adds : list[float]
        What each client adds to every weight in an edge round.
    names : dict[int, str]
        Ids that clients claim instead of their own.
    replies : dict[int, Reply]
        How clients write their update, where not soundly; may raise.
    """

    counts: list[list[float]]
    adds: list[float]
    names: dict[int, str] = field(default_factory=dict)
    replies: dict[int, Reply] = field(default_factory=dict)

    def profile(self, index: int) -> Profile:
        own = profile(index, self.counts[index])
        return Profile(self.names.get(index, own.client), own.samples, own.classes, own.counts)

    def update(self, index: int, order: TrainOrder) -> ClientUpdate:
        own = self.profile(index)
        model = PackedModel(order.model.structure, order.model.vector + np.float32(self.adds[index]))
        return ClientUpdate(model, own.client, order.edge_round, own.samples, 1.0 + index, 1, 0.5)

    def app(self) -> ClientApp:
        app = ClientApp()

        @app.query("register")
        def register(message: Message, context: Context) -> Message:
            return Message(self.profile(int(context.node_config["partition-id"])).write(), reply_to=message)

        @app.train()
        def train(message: Message, context: Context) -> Message:
            index = int(context.node_config["partition-id"])
            order = TrainOrder.read(message.content)
            write = self.replies.get(index, lambda update, _order: update.write())
            return Message(write(self.update(index, order), order), reply_to=message)

        return app

    def grid(self) -> InProcessGrid:
        """Make a grid on which client i is node i + 1."""
        return InProcessGrid(self.app(), len(self.counts), {})


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

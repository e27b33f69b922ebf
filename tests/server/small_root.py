"""A root over edges in this process over a crowd of clients: what the tests of the root share."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid
from helpers import Crowd, events, packed, small_config

from fedphd.common.config.topology import edge_ids
from fedphd.common.flower.delivery import deliver
from fedphd.common.network.packing import PackedModel
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.messages import EdgeUpdate, RoundOrder
from fedphd.common.wire.parts import restrict
from fedphd.edge.aggregator import EdgeAggregator
from fedphd.edge.virtual import VirtualEdgeGrid
from fedphd.server.assignment import Assignment
from fedphd.server.correction import Correction
from fedphd.server.errands import Errands
from fedphd.server.pruning_schedule import PruningSchedule
from fedphd.server.registry import register
from fedphd.server.state import GlobalState
from fedphd.server.strategy import HierarchicalStrategy

START = packed(0.0, 10.0)
HOMES = "topology.homes=[[0],[0],[1],[1]]"

Forge = Callable[[EdgeUpdate], RecordDict]


def crowd() -> Crowd:
    """Edge 0 has clients 0 (100 images) and 1 (200), edge 1 has 2 (300) and 3 (200), of four classes.

    Edge 0's average is (100 * 1 + 200 * 4) / 300 = 3 above what it sent, edge 1's (300 * 2 + 200 * 7) / 500 = 4.
    """
    return Crowd(
        [[50.0, 50.0, 0.0, 0.0], [0.0, 0.0, 100.0, 100.0], [150.0, 150.0, 0.0, 0.0], [100.0, 100.0, 0.0, 0.0]],
        [1.0, 4.0, 2.0, 7.0],
    )


class ForgingEdge(EdgeAggregator):
    """An edge that works soundly, but whose answers from root round `since` on are changed."""

    forge: Forge
    since: int = 1

    def run_round(self, grid: Grid, content: RecordDict) -> RecordDict:
        sound = super().run_round(grid, content)
        order = RoundOrder.read(content)
        if order.root_round < self.since:
            return sound
        shared = restrict(order.download.structure, order.download.shared)
        return self.forge(EdgeUpdate.read(sound, shared))


class Run:
    """A strategy over virtual edges over a crowd; edge 1 may forge its answers."""

    def __init__(
        self,
        folder: Path,
        *overrides: str,
        clients: Crowd | None = None,
        forge: Forge | None = None,
        since: int = 1,
        start: PackedModel = START,
        correction: Callable[["Run"], Correction] | None = None,
    ) -> None:
        self.config = config = small_config("assignment=fixed", "topology.edge_rounds=1", *overrides)
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.state = GlobalState(0, start)
        self.folder = folder
        self.clients = replace(clients or crowd(), config=config)
        self.edges = [
            EdgeAggregator(edge, config, self.ledger, *self._place(edge)) for edge in edge_ids(config.topology)
        ]
        if forge is not None:
            self.edges[1] = forging = ForgingEdge("edge-1", config, self.ledger, *self._place("edge-1"))
            forging.forge, forging.since = forge, since
        self.grid = VirtualEdgeGrid(self.clients.grid(), self.edges)
        self.registry = register(self.grid, config.topology, self.ledger)
        pruning = PruningSchedule(config, self.ledger)
        fine_tune = None if correction is None else correction(self)
        self.strategy = HierarchicalStrategy(
            config, self.registry, self.state, pruning, fine_tune, self.ledger, folder / "root"
        )

    def rounds(self, number: int) -> None:
        self.strategy.start(self.grid, ArrayRecord(), number, timeout=20.0)

    def messages(self) -> list[Message]:
        return list(self.strategy.configure_train(1, ArrayRecord(), ConfigRecord(), self.grid))

    def replies(self) -> list[Message]:
        """Let the edges work, and give what they answer; nothing is committed."""
        return list(deliver(self.grid, self.messages(), 20.0))

    def plan(self) -> list[Assignment]:
        """Give the newest plan."""
        return events(self.ledger, "plan")[-1]["assignment"]  # type: ignore[return-value]

    def orders(self) -> list[RoundOrder]:
        """Give what the edges are asked next, edge 0 first."""
        return [RoundOrder.read(message.content) for message in self.messages()]

    @property
    def model(self) -> list[float]:
        return [float(number) for number in self.state.model.vector]

    def errands(self) -> Errands:
        return Errands(self.grid, self.strategy.site)

    def _place(self, edge: str) -> tuple[Path, Path]:
        """Name an edge's folders: for early updates, and for what it keeps."""
        return self.folder / "spool" / edge, self.folder / "edges" / edge


def lane(run: Run, name: str) -> tuple[int, int, int]:
    """Give messages, numbers and bytes that crossed a hop in one direction."""
    traffic = run.state.traffic[name]
    return traffic.messages, traffic.parameters, traffic.bytes

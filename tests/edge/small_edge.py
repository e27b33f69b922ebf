"""An edge of a few clients, and its orders: what the tests of the edge tier share."""

from collections.abc import Sequence
from pathlib import Path

from flwr.app import RecordDict
from helpers import SHARED, Crowd, download, packed, small_config

from fedphd.common.config.topology import client_id
from fedphd.common.network.packing import PackedModel
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.links import Download
from fedphd.common.wire.messages import EdgeUpdate, RoundOrder
from fedphd.common.wire.parts import restrict
from fedphd.edge.aggregator import EdgeAggregator

START = packed(0.0, 10.0)


def aggregator(ledger: Ledger, clients: int, *overrides: str) -> EdgeAggregator:
    """Make an edge; another one beside the same ledger is the edge started again."""
    config = small_config(f"topology.clients={clients}", "topology.edges=1", *overrides)
    folder = ledger.path.parent
    return EdgeAggregator("edge-0", config, ledger, folder / "spool", folder / "state")


def two(*overrides: str) -> Crowd:
    """Client 0 has 10 images and adds 1, client 1 has 30 and adds 5."""
    return Crowd([[10.0, 0.0], [0.0, 30.0]], [1.0, 5.0], config=small_config(*overrides))


def order(
    *assignment: Sequence[int],
    first: int = 4,
    root_round: int = 3,
    sparse: bool = False,
    start: PackedModel | Download = START,
    final: Sequence[Sequence[int]] | None = None,
    **more: object,
) -> RecordDict:
    """Ask for one edge round for each list of clients; by default the third root round."""
    down = start if isinstance(start, Download) else download(start)
    last = None if final is None else _named(final)
    return RoundOrder(down, root_round, first, _named(assignment), sparse, final=last, **more).write()  # type: ignore[arg-type]


def update_of(content: RecordDict, start: PackedModel = START, kind: str = "full") -> EdgeUpdate:
    return EdgeUpdate.read(content, restrict(start.structure, SHARED[kind]))


def model_of(update: EdgeUpdate, before: PackedModel | None = None) -> list[float]:
    """Decode what an edge reports; a change counts from `before`."""
    return [float(number) for number in update.model.decode(before).vector]


def files(folder: Path) -> list[Path]:
    """List all files below a folder."""
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _named(rounds: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[client_id(index) for index in clients] for clients in rounds]

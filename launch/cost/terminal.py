"""The estimate as a person reads it on a terminal."""

from collections.abc import Callable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedphd.common.run.figures import size, three_digits
from fedphd.common.wire.parts import PARTS
from fedphd.common.wire.traffic import LANES, total
from fedphd.launch.cost.estimate import Estimate, Period, saved
from fedphd.launch.cost.notes import notes
from fedphd.launch.cost.reference import label
from fedphd.launch.terminal import bare_table
from fedphd.launch.watch.notices import DETAIL


def show(estimate: Estimate, console: Console) -> None:
    """Print the U-Net, the whole run's communication, that of its rounds, and what is to be known."""
    hops = [lane for lane in LANES if estimate.config.topology.edges or lane.startswith("access")]
    for table in (_networks(estimate), _whole_run(estimate, hops), _rounds(estimate, hops), _in_relation(estimate)):
        console.print(table)
        console.print()
    text = "saved: share of what this run would send with exchange=full, codec=float32, pruning=none, adapters=none: "
    console.print(Text(text + size(total(estimate.unsaved.values()).bytes), DETAIL), soft_wrap=True)
    text = "share: of what flat FedAvg costs with as many participants in as many rounds, so with as many client epochs"
    console.print(Text(text, DETAIL), soft_wrap=True)
    text = "forward MACs x image passes: of the network of the time; a training pass is about three forward passes"
    console.print(Text(text, DETAIL), soft_wrap=True)
    for note in notes(estimate):
        console.print(Text(note), soft_wrap=True)


def _networks(estimate: Estimate) -> Table:
    table = _table("U-Net", *PARTS, "parameters", "MACs")
    named = {"dense": estimate.dense}
    if estimate.pruned is not None:
        when = "at the start" if estimate.pruned_after == 0 else f"after round {estimate.pruned_after}"
        named[f"pruned {when}"] = estimate.pruned
    for name, network in named.items():
        counts = [*network.parameters.values(), network.structure.size]
        table.add_row(name, *(f"{number:,}" for number in counts), f"{three_digits(network.macs / 1e9)} G")
    return table


def _whole_run(estimate: Estimate, hops: list[str]) -> Table:
    table = _table(f"{estimate.config.rounds} rounds", "messages", "parameters", "bytes", "", "saved")
    lanes, unsaved = estimate.lanes, estimate.unsaved
    rows = {_name(lane): (lanes[lane], unsaved[lane]) for lane in hops}
    rows["total"] = total(lanes.values()), total(unsaved.values())
    for name, (spent, without) in rows.items():
        counts = (f"{number:,}" for number in (spent.messages, spent.parameters, spent.bytes))
        table.add_row(name, *counts, size(spent.bytes), f"{saved(spent, without):.1%}")
    return table


def _rounds(estimate: Estimate, hops: list[str]) -> Table:
    table = _table("mean bytes of a root round", *map(_name, hops), "total")
    for period in estimate.periods:
        means = [period.lanes[lane].bytes / period.rounds for lane in hops]
        table.add_row(_when(period), *map(size, [*means, sum(means)]))
    return table


def _in_relation(estimate: Estimate) -> Table:
    table = _table("the whole run", "this run", label(estimate.flat), "share")
    shares = estimate.costs.shares(estimate.flat_costs)
    for key, (title, write) in COSTS.items():
        counts = (getattr(one, key) for one in (estimate.costs, estimate.flat_costs))
        cells = ("unknown" if count is None else write(count) for count in counts)
        table.add_row(title, *cells, "" if shares[key] is None else f"{shares[key]:.1%}")
    return table


def _count(number: float) -> str:
    return f"{number:,}"


def _operations(number: float) -> str:
    """Write a number of operations in G (10^9), T (10^12) or P (10^15), the largest that fits."""
    exponent, unit = next((one for one in ((15, "P"), (12, "T")) if number >= 10 ** one[0]), (9, "G"))
    return f"{three_digits(number / 10**exponent)} {unit}"


COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "root_bytes": ("bytes at the root", size),
    "bytes": ("bytes on all hops", size),
    "client_epochs": ("client epochs", _count),
    "image_passes": ("image passes", _count),
    "forward_macs": ("forward MACs x image passes", _operations),
}


def _when(period: Period) -> str:
    if period.last == 0:
        return "before the first: local models"
    return f"round {period.first}" if period.rounds == 1 else f"rounds {period.first}-{period.last}"


def _name(lane: str) -> str:
    return lane.replace("_", " ")


def _table(*titles: str) -> Table:
    table = bare_table()
    for index, title in enumerate(titles):
        table.add_column(title, justify="right" if index else "left", no_wrap=True)
    return table

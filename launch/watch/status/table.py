"""The picture as a person reads it."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedphd.common.run.figures import duration, one_line, size, three_digits
from fedphd.launch.terminal import bare_table
from fedphd.launch.watch.notices import DETAIL, GAP, NOTICE, SUMMARY, WARNING
from fedphd.launch.watch.status.schema import UNKNOWN, FlowerRunStatus, NodeStatus, RunStatus, Status, TierStatus
from fedphd.launch.watch.status.standing import Bytes, Heard

STYLES = {"online": NOTICE, "offline": WARNING, UNKNOWN: DETAIL, "running": NOTICE, "finished:failed": WARNING}
DOWN, UP = "down", "up"


def show(status: Status, console: Console) -> None:
    """Print the run, then its tiers, its hops and its nodes as tables."""
    if status.run is not None:
        for name, text, style in _run(status.run, status.time):
            console.print(Text.assemble((f"{name:<11}", SUMMARY), (text, style)), soft_wrap=True)
    for table in (_tiers(status), _hops(status), _nodes(status)):
        if table.row_count:
            console.print()
            console.print(table)
    for tier in status.tiers:
        if tier.error is not None:
            text = f"{tier.tier}: its SuperLink at {tier.superlink} cannot be asked: {tier.error}"
            console.print(Text(f"\n{one_line(text)}", WARNING), soft_wrap=True)
    if status.run is not None and any(tier.superlink for tier in status.tiers):
        note = "Ledger: an edge's events come when its root round ends, so they are as of its last event."
        console.print(Text(f"\n{note} Flower's figures are of now.", DETAIL), soft_wrap=True)


def _run(run: RunStatus, now: float) -> Iterator[tuple[str, str, str]]:
    """Tell the run in lines: what, text and style."""
    yield "run folder", GAP.join([run.folder, *([run.method] if run.method else [])]), ""
    yield "state", run.doing, WARNING if run.state == "failed" else ""
    if run.lost:
        yield "lost", "Flower ended the run before it was done", WARNING
    yield "committed", f"{run.committed}/{run.rounds} root rounds", ""
    if run.metrics_round is not None:
        parts = [f"round {run.metrics_round}", str(run.phase)]
        parts += [] if run.loss is None else [f"loss {run.loss:.4f}"]
        parts += [f"{run.quality.name} {three_digits(run.quality.value)}"] if run.quality else []
        yield "newest", GAP.join(parts), ""
    yield "last heard", _heard(run.heard, now), ""


def _tiers(status: Status) -> Table:
    from_ledger = [*_ways("ledger"), "as of"] if status.run else []
    table = _table("tier", "SuperLink", "Flower's run", *_ways("Flower"), *from_ledger)
    for tier in status.tiers:
        row = [Text(tier.tier), _superlink(tier), _newest_run(tier, status.time), *_bytes(tier.flower)]
        if status.run:
            row += [*_bytes(tier.ledger if tier.as_of else None), Text(_ago(tier.as_of, status.time))]
        table.add_row(*row)
    return table


def _hops(status: Status) -> Table:
    table = _table("hop", *_ways("ledger"))
    for hop, traffic in status.hops.items():
        table.add_row(Text(hop), *_bytes(traffic))
    return table


def _nodes(status: Status) -> Table:
    from_ledger = [*_ways("ledger"), "last heard"] if status.run else []
    table = _table("node", "of", "status", "since", *from_ledger)
    for tier in status.tiers:
        for node in tier.nodes:
            state = Text(node.status, STYLES.get(node.status, ""))
            row = [_name(node), Text(tier.tier), state, Text(_ago(node.since, status.time))]
            if status.run:
                traffic = None if node.down is None or node.up is None else Bytes(node.down, node.up)
                row += [*_bytes(traffic), Text(_heard(node.heard, status.time))]
            table.add_row(*row)
    return table


def _table(*columns: str) -> Table:
    table = bare_table()
    for column in columns:
        table.add_column(column, justify="right" if column.endswith((DOWN, UP)) else "left")
    return table


def _ways(whose: str) -> tuple[str, str]:
    return f"{whose} {DOWN}", f"{whose} {UP}"


def _bytes(traffic: Bytes | None) -> tuple[Text, Text]:
    return (Text("-"), Text("-")) if traffic is None else (Text(size(traffic.down)), Text(size(traffic.up)))


def _superlink(tier: TierStatus) -> Text:
    if tier.superlink is None:
        return Text("not asked", DETAIL)
    return Text(
        tier.superlink if tier.error is None else f"{tier.superlink} not reached", WARNING if tier.error else ""
    )


def _newest_run(tier: TierStatus, now: float) -> Text:
    """Tell the newest run that belongs here, and how many there were before it."""
    runs = [run for run in tier.runs if run.counted]
    if not runs:
        return Text("-", DETAIL)
    earlier = f", {len(runs) - 1} before" if len(runs) > 1 else ""
    return Text(f"{runs[0].status}{_age(runs[0], now)}{earlier}", STYLES.get(runs[0].status, ""))


def _age(run: FlowerRunStatus, now: float) -> str:
    if run.ended is not None:
        return f" {_ago(run.ended, now)}"
    return "" if run.began is None else f" for {_duration(now - run.began)}"


def _name(node: NodeStatus) -> Text:
    return Text(one_line(node.name)) if node.name else Text(f"node {node.id}", DETAIL)


def _heard(heard: Heard | None, now: float) -> str:
    if heard is None:
        return "-"
    return f"{_ago(heard.time, now)} ({heard.event}{'' if heard.round is None else f', round {heard.round}'})"


def _ago(moment: float | None, now: float) -> str:
    return "-" if moment is None else f"{_duration(now - moment)} ago"


def _duration(seconds: float) -> str:
    return duration(max(0.0, seconds))  # other machines' clocks may be ahead

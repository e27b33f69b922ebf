"""Lines of the display: texts with their styles."""

from fedphd.common.run.events import Compare, Correct, Event, Finish, Lost, Prune, Refuse, Resume, Reuse
from fedphd.common.run.figures import duration, one_line, size, three_digits
from fedphd.common.run.ledger import Entry
from fedphd.common.run.metrics import Metrics

GAP = "  "
WARNING, NOTICE, SUMMARY, DETAIL = "yellow", "green", "bold", "dim"  # rich styles

Line = tuple[str, str]  # text and style


def notice(entry: Entry) -> list[Line]:
    """Tell an event that is more than routine."""
    event = entry.event
    if isinstance(event, Refuse | Lost):
        where = [] if event.edge_round is None else [f"edge round {event.edge_round}"]
        what = f"{event.name} {event.peer}: {one_line(event.reason)}"
        return [(GAP.join([entry.node, f"round {event.round}", *where, what]), WARNING)]
    if isinstance(event, Compare) and event.flagged:
        return [
            (GAP.join(["root", f"round {event.round}", f"generated images repeat images of {event.peer}"]), WARNING)
        ]
    parts = _root_parts(event)
    return [(GAP.join(["root", *parts]), NOTICE)] if parts else []


def _root_parts(event: Event) -> list[str]:
    """Tell what the root did; nothing, if it is routine."""
    match event:
        case Prune():
            return [f"round {event.round}", *_pruning(event)]
        case Correct():
            text = f"corrected in {event.steps} steps"
            return [f"round {event.round}", text, f"loss {event.loss:.4f}", duration(event.seconds)]
        case Resume():
            return [f"resumed after round {event.round}"]
        case Reuse():
            return [f"statistics of {event.images:,} real images ({event.split}) found in {event.file}"]
        case Finish():
            return [f"finished in {duration(event.seconds)}"]
    return []


def round_line(line: Metrics, rounds: int) -> Line:
    """Tell a committed root round, of so many."""
    parts = ["root", f"round {line.round}/{rounds}", *loss_of(line)]
    if line.quality:
        parts.append(f"{line.quality[0]} {three_digits(line.quality[1])}")
    parts += [f"{name} {three_digits(value)}" for name, value in line.further.items() if not name.startswith("is_")]
    parts += [f"{three_digits(line.parameters / 1e6)} M parameters", size(line.payload)]
    return GAP.join([*parts, duration(line.seconds)]), SUMMARY


def loss_of(line: Metrics) -> list[str]:
    """Tell the loss, if there is one."""
    return [] if line.loss is None else [f"loss {line.loss:.4f}"]


def _pruning(event: Prune) -> list[str]:
    before, after = (three_digits(count / 1e6) for count in (event.parameters_before, event.parameters_after))
    macs = f"MACs x {event.macs_after / event.macs_before:.3f}"
    return [f"pruned at ratio {event.ratio:g}", f"{before} -> {after} M parameters", macs]

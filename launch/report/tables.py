"""The numbers of the report: headline tiles and tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedphd.common.averaging.homogeneity import homogeneity
from fedphd.common.run.crossings import Crossing
from fedphd.common.run.figures import WAYS, duration, one_line, size, three_digits
from fedphd.common.run.metrics import Metrics
from fedphd.launch.report.curves import MB, other_images, quality_name
from fedphd.launch.report.recorded_run import RecordedRun

MOST_INCIDENTS = 200  # newest ones that are listed


@dataclass(frozen=True)
class Tile:
    """A headline number: what it is, the number, and a line on it."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Table:
    """Rows of cells under a head.

    Attributes
    ----------
    title : str
        What stands above it; may be empty.
    head : Sequence[str]
        Names of the columns.
    rows : Sequence[Sequence[str]]
        The cells.
    note : str
        A line below it; may be empty.
    words : int
        The first columns, which hold words; the others hold numbers.
    wide, folded : bool
        Whether it takes the page's whole width; whether it opens on a click only.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    words: int = 1
    wide: bool = False
    folded: bool = False


def moment(seconds: float, form: str = "%Y-%m-%d %H:%M UTC") -> str:
    """Write a time in seconds since the epoch as UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def tiles(run: RecordedRun) -> list[Tile]:
    """Make the headline tiles: as many as the run has numbers for."""
    found = [*_quality_tiles(run)]
    if run.latest is None:
        return found
    found += [_parameters_tile(run, run.latest), *_correction_tiles(run)]
    for hop in run.hops:
        ways = {way: run.latest.crossed(hop, way, "bytes") or 0 for way in WAYS}
        detail = ", ".join(f"{size(count)} {way}" for way, count in ways.items())
        found.append(Tile(f"payload, {hop} hop", size(sum(ways.values())), detail))
    planned = run.setting("rounds", None)
    of = f"{run.latest.round} / {planned}" if planned else str(run.latest.round)
    found.append(Tile("root rounds", of, f"{run.latest.edge_rounds} edge rounds"))
    per_round = [line.seconds for line in run.metrics if line.round > 0]
    detail = f"{duration(float(np.median(per_round)))} per root round (median)" if per_round else ""
    elapsed = run.latest.elapsed + (run.latest.evaluation_seconds or 0.0)  # its own is not yet in its elapsed
    found.append(Tile("wall time", duration(elapsed), detail))
    return found


def _quality_tiles(run: RecordedRun) -> list[Tile]:
    if not run.evaluations:
        return []
    last = run.evaluations[-1]
    key, value = last.quality or ("", 0.0)
    details = [f"after round {last.round}"]
    if last.reference is not None:
        details.append(f"{other_images(run)} {three_digits(last.reference)}")
    if last.floor is not None and last.floor_std is not None:
        details.append(f"as many of the reference's own {three_digits(last.floor)} ± {three_digits(last.floor_std)}")
    found = [Tile(quality_name(key), three_digits(value), "; ".join(details))]
    if "is_mean" in last.measures:
        mean, std = (last.measures[key] for key in ("is_mean", "is_std"))
        found.append(Tile("Inception score", f"{mean:.2f}", f"± {std:.2f}; higher is better"))
    return found + [_further_tile(last, name) for name in last.further if not name.startswith("is_")]


def _further_tile(line: Metrics, name: str) -> Tile:
    real = line.measures.get(f"{name}_reference")
    value = line.measures[name]
    return Tile(name, three_digits(value), "" if real is None else f"real images {three_digits(real)}")


def _parameters_tile(run: RecordedRun, latest: Metrics) -> Tile:
    after = latest.parameters
    label, now = "parameters (millions)", three_digits(after / 1e6)
    macs = f"{three_digits((latest.macs or 0) / 1e6)}\u00a0M\u00a0MACs per image"
    if not run.history.prunings:
        return Tile(label, now, f"not pruned; {macs}")
    before = next(iter(run.history.prunings.values())).parameters_before
    return Tile(label, f"{three_digits(before / 1e6)} → {now}", f"{100 * after / before:.1f} % kept; {macs}")


def _correction_tiles(run: RecordedRun) -> list[Tile]:
    """Say which rounds' models were fine-tuned on auxiliary images; nothing for a method that does not do so."""
    if run.setting("correction.kind", "none") == "none":
        return []
    done = run.history.corrections
    if not done:
        reason = "learning has not been slow" if run.setting("correction.kind") == "once" else ""
        return [Tile("corrected models", "none so far", reason)]
    value = f"after round {next(iter(done))}" if len(done) == 1 else f"of {len(done)} rounds"
    images, steps = run.setting("correction.images"), run.setting("correction.steps")
    seconds = duration(sum(event.seconds for event in done.values()))
    return [Tile("corrected models", value, f"{steps} steps on {images} auxiliary images; {seconds} in all")]


def pruning_table(run: RecordedRun) -> Table | None:
    """List what each pruning removed."""
    rows = []
    for number, event in run.history.prunings.items():
        for unit, before, after in (
            ("parameters", event.parameters_before, event.parameters_after),
            ("MACs per image", event.macs_before, event.macs_after),
        ):
            kept = f"{100 * after / before:.1f}"
            rows.append([unit, f"{number}", f"{event.ratio:g}", f"{before:,}", f"{after:,}", kept])
    head = ["", "after round", "channel ratio", "before", "after", "kept (%)"]
    structures = ", ".join(
        f"{event.structure_before} → {event.structure_after}" for event in run.history.prunings.values()
    )
    return Table("What the pruning removed", head, rows, f"Structure ids: {structures}.", wide=True) if rows else None


def bytes_table(run: RecordedRun) -> Table | None:
    """List payload, parameters, messages and encoded bytes by hop and direction."""
    if run.latest is None or not run.history.crossings.total(_counts).messages:
        return None
    rounds = max(run.latest.round, 1)
    rows, totals = [], np.zeros(4)
    for lane in [(hop, way) for hop in run.hops for way in WAYS]:
        payload, parameters = (run.latest.crossed(*lane, what) or 0 for what in ("bytes", "parameters"))
        crossed = run.history.crossings.total(partial(_counts, lane=lane))
        numbers = np.array([payload, parameters, crossed.messages, crossed.encoded_bytes], float)
        totals += numbers
        rows.append([*lane, *_traffic_cells(numbers, rounds)])
    rows.append(["all", "", *_traffic_cells(totals, rounds)])
    head = ["hop", "direction", "payload (MB)", "per root round (MB)", "parameters (M)", "messages", "as encoded (MB)"]
    note = (
        "Payload: the models' numbers, as coded, in committed rounds; parameters: how many numbers. Messages, and "
        "their bytes as encoded, are those of the ledger: also of rounds that were not committed or were repeated "
        "after a resume. Images that clients draw to be measured are not counted."
    )
    return Table("Bytes per hop", head, rows, note, words=2)


def _counts(crossing: Crossing, lane: tuple[str, str] | None = None) -> bool:
    """Whether messages are the method's own, since images that clients draw are only measured; of one hop and way."""
    return crossing.task != "draw" and lane in (None, (crossing.hop, crossing.way))


def _traffic_cells(numbers: NDArray[np.float64], rounds: int) -> list[str]:
    payload, parameters, messages, encoded = numbers
    in_millions = [f"{payload / MB:,.2f}", f"{payload / MB / rounds:,.2f}", f"{parameters / 1e6:,.2f}"]
    return [*in_millions, f"{messages:,.0f}", f"{encoded / MB:,.2f}"]


def quality_table(run: RecordedRun) -> Table | None:
    """List every evaluation, with the numbers of the plots."""
    if not run.evaluations:
        return None
    measures = [key for key in run.evaluations[-1].measures if "/" not in key]
    head = ["root round", *measures, "payload (MB)", "evaluation (s)"]
    rows = [
        [
            str(line.round),
            *(three_digits(line.measures[key]) if key in line.measures else "n/a" for key in measures),
            f"{(line.total('bytes', run.hops) or 0) / MB:,.2f}",
            "n/a" if line.evaluation_seconds is None else f"{line.evaluation_seconds:.1f}",
        ]
        for line in run.evaluations
    ]
    return Table("All evaluations in numbers", head, rows, folded=True)


def client_table(run: RecordedRun) -> Table | None:
    """List each client's images, classes, homogeneity and homes."""
    rows = []
    for client, counts in run.counts.items():
        total = counts.sum()
        score = f"{homogeneity(counts / total):.3f}" if total > 0 else "n/a"
        held = int((counts >= 0.5).sum())  # privacy noise leaves fractions
        rows.append([client, ", ".join(run.homes[client]), f"{total:,.0f}", str(held), score])
    head = ["client", "can reach", "images", "classes held", "SH(q)"]
    note = "SH(q) = 2 - ‖q* - q‖₂ with q* uniform: 2 is a uniform label distribution."
    return Table("The clients", head, rows, note, words=2) if rows else None


def holdings_table(run: RecordedRun) -> Table | None:
    """List what was found of images before the start, with what was left out or changed."""
    rows = [
        [
            holder,
            "; ".join(one_line(note) for note in found["notes"]) or "as they are",
            f"{found['images']:,}",
            str(found["classes"]),
            " x ".join(map(str, found["shape"])),
        ]
        for holder, found in run.holdings.items()
    ]
    rows += [
        [client, "; ".join(map(one_line, notes)), *_told(run, client), "n/a"]
        for client, notes in run.history.notes.items()
        if client not in run.holdings
    ]
    head = ["whose", "what was left out or changed", "images", "classes", "channels x height x width"]
    note = "As they were found on the machine where the run was started; others as their clients told."
    return Table("Images", head, rows, note, words=2, wide=True) if rows else None


def _told(run: RecordedRun, client: str) -> list[str]:
    """Count a client's images and classes as it registered them."""
    counts = run.counts.get(client, np.zeros(0))
    return [f"{float(counts.sum()):,.0f}", str(int((counts >= 0.5).sum()))]


def incident_table(run: RecordedRun) -> Table | None:
    """List updates refused or lost, failures and resumes, the newest last."""
    rows = []
    for _, node, event in run.history.incidents[-MOST_INCIDENTS:]:
        known = event.facts
        where = [str(known[key]) if known.get(key) is not None else "" for key in ("round", "edge_round", "peer")]
        what = [moment(event.time, "%m-%d %H:%M:%S"), event.name, node, *where]
        rows.append([*what, one_line(known.get("reason", ""))])
    head = ["time (UTC)", "event", "at", "root round", "edge round", "peer", "reason"]
    hidden = len(run.history.incidents) - len(rows)
    note = f"{hidden} earlier ones are in ledger.jsonl." if hidden else ""
    return Table("", head, rows, note, words=len(head), wide=True) if rows else None

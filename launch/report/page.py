"""Putting the page together."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fedphd.common.run.run_folder import REPORT
from fedphd.launch.report import curves, drawing, maps, tables
from fedphd.launch.report.drawing import Plot
from fedphd.launch.report.recorded_run import RecordedRun
from fedphd.launch.report.tables import Table

FOLDER = Path(__file__).parent
MOST_GRIDS = 12  # small multiples of the sample grids

Block = TypeVar("Block", Plot, Table)


@dataclass(frozen=True)
class Section:
    """A part of the page: its plots and tables, or why there are none."""

    anchor: str
    title: str
    missing: str
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True)
class Grid:
    """A sample grid: the root round that it was drawn after, and the image as a data URI."""

    round: int
    uri: str


def write_report(run_dir: Path, page: Path | None = None) -> Path:
    """Write the page of a run from the files that are there.

    Parameters
    ----------
    run_dir : Path
        The run folder; its run may have finished, failed, or still be going on.
    page : Path, optional
        The file to write; by default ``report.html`` in the run folder.

    Returns
    -------
    Path
        The page.
    """
    run = RecordedRun.read(run_dir)
    page = run_dir / REPORT if page is None else page
    page.write_text(render(run), encoding="utf-8")
    return page


def render(run: RecordedRun) -> str:
    """Render the page as HTML text that needs no other file."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    with drawing.style():
        parts = sections(run)
    return environment.get_template("page.html").render(
        style=(FOLDER / "style.css").read_text(encoding="utf-8"),
        title=f"{run.setting('method')} on {run.setting('data.kind')}",
        facts=_facts(run),
        status=run.status,
        tiles=tables.tiles(run),
        grids=_some([Grid(number, _data_uri(png)) for number, png in run.grids.items()], MOST_GRIDS),
        all_grids=len(run.grids),
        sections=parts,
        config=yaml.safe_dump(run.config, sort_keys=False) if run.config else "",
    )


def sections(run: RecordedRun) -> list[Section]:
    """Make the page's parts between the sample grids and the configuration."""
    loss, share, traffic = curves.loss_plot(run), maps.class_share_plot(run), curves.bytes_plot(run)
    partition, assignment = maps.partition_plot(run), maps.assignment_plot(run)
    not_pruned = (
        "The U-Net is not pruned in this run." if run.setting("pruning.kind") == "none" else "Not pruned so far."
    )
    return [
        Section(
            "quality",
            "Quality and training",
            "No round has been evaluated and no loss reported so far.",
            _present(*curves.quality_plots(run), loss, share),
            _present(tables.quality_table(run)),
        ),
        Section(
            "communication",
            "Communication",
            "No root round has been committed so far.",
            _present(traffic),
            _present(tables.bytes_table(run)),
        ),
        Section("pruning", "Pruning", not_pruned, (), _present(tables.pruning_table(run))),
        Section(
            "clients",
            "Clients and their data",
            "The clients have not registered so far.",
            _present(partition),
            _present(tables.client_table(run), tables.holdings_table(run)),
        ),
        Section(
            "edges", "Edges", "No root round has been planned so far.", _present(assignment, *curves.edge_plots(run))
        ),
        Section(
            "incidents",
            "Events to look at",
            "None: no update was refused or lost, nothing failed.",
            (),
            _present(tables.incident_table(run)),
        ),
    ]


def _facts(run: RecordedRun) -> list[tuple[str, str]]:
    """Name what a reader must know of the run: (what, which)."""
    edges = "flat" if run.flat else f"{run.setting('topology.edges')} edges"
    started = run.history.first
    return [
        ("model", str(run.setting("model.name"))),
        ("partition", str(run.setting("partition.kind"))),
        ("topology", f"{run.setting('topology.clients')} clients, {edges}"),
        ("runtime", str(run.setting("runtime.name"))),
        ("seed", str(run.setting("seed"))),
        ("started", tables.moment(started) if started is not None else "not yet"),
    ]


def _present(*blocks: Block | None) -> list[Block]:
    return [block for block in blocks if block is not None]


def _some(grids: list[Grid], most: int) -> list[Grid]:
    """Pick at most `most`, evenly, with the first and the last."""
    if len(grids) <= most:
        return grids
    return [grids[round(index * (len(grids) - 1) / (most - 1))] for index in range(most)]


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()

"""Plots of who holds what and who trained where, and of the classes that were generated."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from fedphd.launch.report import drawing
from fedphd.launch.report.drawing import CARD, INK, MUTED, SERIES, Plot
from fedphd.launch.report.recorded_run import RecordedRun, natural

WIDTH = 11.0  # inches
MOST_LABELS = 40  # names along an axis
MOST_NUMBERS = 400  # cells with a number in them
MOST_GAPS = 120  # rows or columns with gaps between them
MOST_COLUMNS = 400  # edge rounds side by side
STRONGEST = 0.85  # opacity of the largest count, so that numbers stay legible on it


def partition_plot(run: RecordedRun) -> Plot | None:
    """Draw the images of each class (columns) at each client (rows)."""
    if not run.counts:
        return None
    clients, counts = list(run.counts), np.array(list(run.counts.values()))
    figure, axes = drawing.canvas(5.4, _height(len(clients)), "class", "")
    pixels = np.zeros((*counts.shape, 4))
    pixels[..., :3] = to_rgb(SERIES[0])
    pixels[..., 3] = STRONGEST * np.clip(counts, 0, None) / max(counts.max(), 1e-9)
    _tiles(axes, pixels)
    if counts.size <= MOST_NUMBERS:
        for (row, column), count in np.ndenumerate(counts):
            if round(count) > 0:
                axes.text(column, row, f"{count:.0f}", ha="center", va="center", size=7.5, color=INK)
    _name_rows(axes, clients)
    _name_columns(axes, run.class_names)
    alt = (
        f"Images of each of {counts.shape[1]} classes at each of {len(clients)} clients; the numbers are in the table."
    )
    note = "Images of each class at each client, as they registered."
    return Plot("Who holds what", drawing.svg(figure, "partition"), alt, note)


def assignment_plot(run: RecordedRun) -> Plot | None:
    """Draw at which edge (colour) each client (rows) was to train in each edge round (columns)."""
    rounds = [one for plan in run.history.plans.values() for one in plan.assignment]
    if not rounds:
        return None
    planned = {client for one in rounds for members in one.values() for client in members}
    clients = list(run.counts) or sorted(planned, key=natural)
    step = -(-len(rounds) // MOST_COLUMNS)
    palette = dict(zip(run.edges, drawing.colours(len(run.edges)), strict=True))
    pixels = _assignment_pixels(rounds[::step], clients, palette)
    figure, axes = drawing.canvas(WIDTH, _height(len(clients)), "edge round (from 0)", "")
    _tiles(axes, pixels)
    axes.xaxis.set_major_locator(MaxNLocator(16, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda column, _: f"{step * column:.0f}"))
    _name_rows(axes, clients)
    handles = [Patch(color=palette[edge], label=edge) for edge in run.edges[:12]]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=12, handlelength=1, borderaxespad=0.2)
    busy = {edge: sum(len(one.get(edge, ())) for one in rounds) for edge in run.edges}
    alt = (
        f"Clients by edge over {len(rounds)} edge rounds: "
        f"{', '.join(f'{edge} was given {count} trainings' for edge, count in busy.items())}."
    )
    note = "As the root planned it; a blank cell is a client that rested."
    note += f" One edge round in {step} is shown." if step > 1 else ""
    return Plot("Which client trained at which edge", drawing.svg(figure, "assignment"), alt, note, wide=True)


def _assignment_pixels(
    rounds: Sequence[dict[str, list[str]]], clients: list[str], palette: dict[str, str]
) -> NDArray[np.float64]:
    row = {client: index for index, client in enumerate(clients)}
    pixels = np.zeros((len(clients), len(rounds), 4))
    for column, assignment in enumerate(rounds):
        for edge, members in assignment.items():
            for client in members:
                pixels[row[client], column] = to_rgba(palette[edge])
    return pixels


def class_shares(run: RecordedRun) -> dict[str, float]:
    """Read the share of each class among the generated images of the newest evaluation that tells."""
    return _of_classes(run, "class_share/")


def _of_classes(run: RecordedRun, prefix: str) -> dict[str, float]:
    """Read what the newest evaluation that tells says of each class."""
    for line in reversed(run.metrics):
        found = {key.removeprefix(prefix): value for key, value in line.measures.items() if key.startswith(prefix)}
        if found:
            return found
    return {}


def class_share_plot(run: RecordedRun) -> Plot | None:
    """Draw the classes of the generated images beside those of the training images, and the uniform share."""
    shares = class_shares(run)
    if not shares:
        return None
    names, uniform = list(shares), 1 / len(shares)
    figure, axes = drawing.canvas(5.4, 3.1, "class", "share of images (%)")
    axes.bar(range(len(names)), [100 * share for share in shares.values()], 0.7, color=SERIES[0], label="generated")
    if run.counts and run.class_names == names:
        trained = np.sum(list(run.counts.values()), axis=0)
        axes.plot(
            100 * trained / trained.sum(),
            "_",
            color=SERIES[1],
            markersize=14,
            mew=2.5,
            zorder=3,
            label="training images",
        )
    axes.axhline(100 * uniform, color=MUTED, linestyle="--", linewidth=1.2, label="uniform")
    _name_columns(axes, names)
    drawing.legend(axes)
    axes.grid(axis="y")
    distance = sum(abs(share - uniform) for share in shares.values()) / 2
    alt = f"Shares of generated images: {', '.join(f'{name} {100 * share:.1f} %' for name, share in shares.items())}."
    note = f"By the run's own classifier. Total variation distance to uniform: {distance:.3f}."
    if accuracies := _of_classes(run, "class_accuracy/"):
        each = ", ".join(f"{name} {100 * value:.0f} %" for name, value in accuracies.items())
        note += f" Of the images asked for of each class, it takes for that class: {each}."
    return Plot("Classes of the generated images", drawing.svg(figure, "classes"), alt, note)


def _tiles(axes: Axes, pixels: NDArray[np.float64]) -> None:
    """Draw cells (rows, columns, RGBA) with gaps between them, where there is room for gaps."""
    rows, columns, _ = pixels.shape
    axes.imshow(pixels, aspect="auto", interpolation="nearest")
    axes.spines[:].set_visible(False)
    for count, line in ((rows, axes.axhline), (columns, axes.axvline)):
        if count <= MOST_GAPS:
            for edge in range(1, count):
                line(edge - 0.5, color=CARD, linewidth=1.2)


def _height(rows: int) -> float:
    """Inches for so many rows and their axis."""
    return float(np.clip(0.21 * rows + 0.9, 2.2, 9.0))


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    step = -(-len(names) // MOST_LABELS)
    axes.set_yticks(range(0, len(names), step), names[::step])
    axes.tick_params(axis="y", length=0)


def _name_columns(axes: Axes, names: Sequence[str]) -> None:
    step = -(-len(names) // MOST_LABELS)
    slanted = sum(map(len, names[::step])) > 45
    axes.set_xticks(
        range(0, len(names), step), names[::step], rotation=40 if slanted else 0, ha="right" if slanted else "center"
    )
    axes.tick_params(axis="x", length=0)

"""The plot of quality against communicated bytes: a curve for each configuration."""

from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, SymmetricalLogLocator

from fedphd.common.run.figures import three_digits
from fedphd.launch.compare.comparison import Comparison
from fedphd.launch.compare.configuration import Configuration
from fedphd.launch.compare.numbers import BYTES, pick_unit
from fedphd.launch.compare.table import REAL
from fedphd.launch.report import drawing
from fedphd.launch.report.curves import quality_name
from fedphd.launch.report.drawing import CARD, MUTED, SERIES

WIDTH, LOWEST, PER_ROW = 8.6, 4.4, 0.21  # inches; the last one for each line of the legend
LEGEND = 34  # signs in such a line
DASHES = ("-", (0, (5, 1.6)), (0, (1.2, 1.4)))  # once round the colours, then the next
MARKERS = "osD^vP*Xd<>phH8"  # 15 beside 8 colours and 3 dashes: the same look comes back after 120 rows
MOST_MARKED = 25  # points of a curve that still get a mark each


def draw_plot(comparison: Comparison) -> Figure | None:
    """Draw the mean over seeds of quality against payload so far, in a band from the lowest to the highest seed.

    Parameters
    ----------
    comparison : Comparison
        The runs.

    Returns
    -------
    Figure or None
        On a light ground of its own, since nobody knows the page that it will stand on; the legend is in
        the order of the final values. None if nothing was measured.
    """
    rows = [row for row in comparison.configurations if row.curve]
    if not rows or comparison.measure is None:
        return None
    unit, name = pick_unit([point.bytes for row in rows for point in row.curve[-1:]], BYTES)
    height = max(LOWEST, 1.2 + PER_ROW * (1 + sum(1 + _label(row).count("\n") for row in rows)))
    label = f"{quality_name(comparison.measure)}, lower is better"
    figure, axes = drawing.canvas(WIDTH, height, f"payload of all hops, both ways ({name})", label)
    lines = [_draw_curve(axes, row, index, unit) for index, row in enumerate(rows)]
    values = [value for row in rows for point in row.curve for value in point.quality.values]
    # In the order in which the curves end, from above.
    lines.sort(key=lambda line: -float(np.asarray(line.get_ydata())[-1]))
    if comparison.real:
        real = comparison.real.mean
        lines.append(axes.axhline(real, color=MUTED, linestyle="-.", linewidth=1.2, label=REAL, zorder=1))
        values.append(real)
    drawing.span_magnitudes(axes, values)
    _span_bytes(axes, [[point.bytes / unit for point in row.curve] for row in rows])
    axes.grid()
    axes.legend(handles=lines, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, handlelength=3.2)
    return figure


def save_plot(comparison: Comparison, path: Path) -> bool:
    """Write the plot to `path` as SVG, the same text for the same runs; return whether there is one."""
    with drawing.style():
        figure = draw_plot(comparison)
        if figure is not None:
            figure.savefig(path, format="svg", facecolor=CARD, metadata={"Date": None})
    return figure is not None


def describe(comparison: Comparison) -> str:
    """Say in words and numbers what the plot shows, for who cannot see it."""
    ends = [(row.name, row.curve[-1]) for row in comparison.configurations if row.curve]
    points = ", ".join(
        f"{name} {three_digits(end.quality.mean)} at {three_digits(end.bytes / 1e6)} MB" for name, end in ends
    )
    return f"{quality_name(str(comparison.measure))} against payload; at the end: {points}."


def _draw_curve(axes: Axes, row: Configuration, index: int, unit: float) -> Line2D:
    x, colour = [point.bytes / unit for point in row.curve], SERIES[index % len(SERIES)]
    (line,) = axes.plot(
        x,
        [point.quality.mean for point in row.curve],
        color=colour,
        linestyle=DASHES[index // len(SERIES) % len(DASHES)],
        marker=MARKERS[index % len(MARKERS)],
        markevery=max(1, len(x) // MOST_MARKED),
        linewidth=1.5,
        label=_label(row),
    )
    if len(row.seeds) > 1:
        low, high = ([pick(point.quality.values) for point in row.curve] for pick in (min, max))
        axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
    return line


def _label(row: Configuration) -> str:
    return fill(row.name, LEGEND, break_long_words=False, break_on_hyphens=False)


def _span_bytes(axes: Axes, curves: list[list[float]]) -> None:
    """Use a logarithmic x axis where curves end more than ten times apart; it is linear near zero, where they start."""
    axes.set_xlim(left=0)
    ends, sent = [x[-1] for x in curves], [value for x in curves for value in x if value > 0]
    if not sent or max(ends) <= 10 * min(ends):
        return
    axes.set_xscale("symlog", linthresh=min(sent), linscale=0.4)
    axes.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=min(sent), subs=[1, 2, 5]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())

"""The plot of quality against communicated bytes: a curve for each configuration."""

from pathlib import Path
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, SymmetricalLogLocator

from fedphd.common.run.figures import three_digits
from fedphd.launch.compare.comparison import Comparison
from fedphd.launch.compare.configuration import Configuration, Point
from fedphd.launch.compare.numbers import BYTES, pick_unit
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

    What was measured over another number of images than before the last round stands apart, as an open mark.

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
    # In the order in which the curves end, from above.
    lines = [line for _, line in sorted(zip(rows, lines, strict=True), key=lambda pair: -_end(pair[0]))]
    values = [value for row in rows for point in row.curve for value in point.quality.values]
    if comparison.real:
        real = comparison.real.mean
        lines.append(
            axes.axhline(real, color=MUTED, linestyle="-.", linewidth=1.2, label=comparison.other_images, zorder=1)
        )
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


def how_to_read(comparison: Comparison) -> str:
    """Say in sentences what lines, bands and open marks are."""
    found = "Lines: mean over seeds at each evaluation; bands: from the lowest to the highest seed."
    apart = [point for row in comparison.configurations for point in row.curve if _is_apart(row, point)]
    if not apart:
        return found
    before = next(row.runs[0].drawn.before for row in comparison.configurations if row.curve)
    return (
        f"{found} Open marks, apart from the lines: evaluations over {apart[0].images} images, after the last round; "
        f"those before are over {before}. Over more images a distance is lower for that alone."
    )


def _draw_curve(axes: Axes, row: Configuration, index: int, unit: float) -> Line2D:
    points = [point for point in row.curve if not _is_apart(row, point)]
    x, colour, marker = [point.bytes / unit for point in points], SERIES[index % len(SERIES)], _marker(index)
    (line,) = axes.plot(
        x,
        [point.quality.mean for point in points],
        color=colour,
        linestyle=DASHES[index // len(SERIES) % len(DASHES)],
        marker=marker,
        markevery=max(1, len(x) // MOST_MARKED),
        linewidth=1.5,
        label=_label(row),
    )
    if len(row.seeds) > 1:
        low, high = ([pick(point.quality.values) for point in points] for pick in (min, max))
        axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
    for point in row.curve:
        if _is_apart(row, point):
            _draw_apart(axes, point, unit, color=colour, marker=marker)
    return line


def _draw_apart(axes: Axes, point: Point, unit: float, color: str, marker: str) -> None:
    """Draw a point that no line leads to: an open mark, between the lowest and the highest seed."""
    x, values = point.bytes / unit, point.quality.values
    axes.plot([x, x], [min(values), max(values)], color=color, alpha=0.4, linewidth=1.5)
    axes.plot([x], [point.quality.mean], color=color, marker=marker, fillstyle="none", markersize=6)


def _is_apart(row: Configuration, point: Point) -> bool:
    """Whether a point was measured over another number of images than those before the last round."""
    return point.images != row.runs[0].drawn.before


def _end(row: Configuration) -> float:
    return row.curve[-1].quality.mean


def _marker(index: int) -> str:
    return MARKERS[index % len(MARKERS)]


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

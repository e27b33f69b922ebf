"""Matplotlib figures as SVG text for a page that may be light or dark.

Lines and letters that must stand out from the page are drawn in stand-in colours, which become CSS
variables in the SVG text; the series' colours have a contrast of at least 3:1 on both backgrounds.
"""

import base64
import io
import re
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

INK, MUTED, GRID, CARD = "#0a0b0c", "#5a5b5c", "#dadbdc", "#fafbfc"
_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--rule)", CARD: "var(--card)"}
SERIES = ("#3b82f6", "#e0730d", "#0f9d8a", "#8b6cf0", "#d6409f", "#b38600", "#e5484d", "#7a8699")

_STYLE = {
    "text.parse_math": False,  # names of classes may hold dollars
    "svg.fonttype": "none",  # text stays text: it can be selected and takes the page's font
    "svg.hashsalt": "fedphd",  # the same figure gives the same text
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True)
class Plot:
    """A figure of the page.

    Attributes
    ----------
    title : str
        What stands above it.
    picture : str
        The picture, as an SVG element, or an image that holds its own bytes.
    alt : str
        What it shows, in words and numbers.
    note : str
        A line below it on how to read it; may be empty.
    wide : bool
        Whether it takes the page's whole width.
    """

    title: str
    picture: str
    alt: str
    note: str = ""
    wide: bool = False


def style() -> AbstractContextManager[None]:
    """Make the context in which figures are drawn and saved."""
    context: AbstractContextManager[None] = mpl.rc_context(_STYLE)
    return context


def canvas(width: float, height: float, x: str, y: str) -> tuple[Figure, Axes]:
    """Make a figure of `width` x `height` inches with one pair of labelled axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def whole_numbers(axes: Axes) -> None:
    """Put the x axis' ticks at whole numbers."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def span_magnitudes(axes: Axes, values: Sequence[float]) -> None:
    """Use a logarithmic y axis, with plain numbers, where positive values differ by more than ten times."""
    if min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)


def colours(count: int) -> list[str]:
    """Name `count` colours that can be told apart."""
    if count <= len(SERIES):
        return list(SERIES[:count])
    return [to_hex(mpl.colormaps["turbo"]((index + 0.5) / count)) for index in range(count)]


def legend(axes: Axes, columns: int = 4) -> None:
    """Put a legend above the axes."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2, handlelength=1.6)


def svg(figure: Figure, name: str) -> str:
    """Render as an SVG element whose ids begin with `name`, so that several fit into one page."""
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the page's reader has other fonts
        figure.savefig(stream, format="svg", metadata=_NO_METADATA)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, variable)
    return text


def data_uri(png: bytes) -> str:
    """Write a PNG file as the address of an image that needs no file."""
    return "data:image/png;base64," + base64.b64encode(png).decode()

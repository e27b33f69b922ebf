"""The comparison as a Markdown page, GitHub's flavour, with its plot as a file beside it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from fedphd.common.errors import SettingError
from fedphd.common.run.figures import one_line
from fedphd.launch.compare.comparison import Comparison
from fedphd.launch.compare.cut import Cut
from fedphd.launch.compare.plot import describe, how_to_read, save_plot
from fedphd.launch.compare.relation import relation_notes, relation_tables
from fedphd.launch.compare.settings import Settings, deviations
from fedphd.launch.compare.table import caveats, main_table, notes
from fedphd.launch.report.tables import Table

START = "<!-- Made by `fedphd compare`, which writes this part anew and keeps what stands before and after it. -->"
END = "<!-- End of what `fedphd compare` made. -->"


def write_page(comparison: Comparison, path: Path, title: str, cuts: Sequence[Cut] = ()) -> None:
    """Write the page to `path`, and its plot beside it as ``.svg``.

    What a person wrote before or after an earlier page's own part stays as it is.

    Parameters
    ----------
    comparison : Comparison
        The runs.
    path : Path
        Takes the page; ends with ``.md``.
    title : str
        The heading; empty: none.
    cuts : Sequence[Cut], optional
        The runs when they had spent as much, each a section of its own.

    Raises
    ------
    SettingError
        If `path` cannot be a page's name, or there is a file that is no such page.
    """
    if path.suffix != ".md":
        raise SettingError("--output", path, "must be a Markdown page; use a name that ends with .md")
    before, after = _surroundings(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = path.with_suffix(".svg")
    blocks = render(comparison, title, picture.name if save_plot(comparison, picture) else None, cuts)
    path.write_text(f"{before}{START}\n\n{blocks}\n\n{END}{after}", encoding="utf-8")


def render(comparison: Comparison, title: str, picture: str | None, cuts: Sequence[Cut] = ()) -> str:
    """Render the page's own part as Markdown text.

    Parameters
    ----------
    comparison : Comparison
        The runs.
    title : str
        The heading; empty: none.
    picture : str or None
        Where the plot is, relative to the page; None if there is none.
    cuts : Sequence[Cut], optional
        The runs when they had spent as much.
    """
    return "\n\n".join(_blocks(comparison, one_line(title), picture, cuts))


def _blocks(comparison: Comparison, title: str, picture: str | None, cuts: Sequence[Cut]) -> Iterator[str]:
    if title:
        yield f"# {title}"
    yield _made(main_table(comparison))
    yield "\n".join(f"- {note}" for note in _texts([*caveats(comparison), *notes(comparison)]))
    if picture:
        yield f"![{_text(describe(comparison))}]({picture})"
        yield how_to_read(comparison)
    yield from _relations(comparison)
    for one in cuts:
        yield from _cut(one)
    yield from _settings(comparison)
    if comparison.left_out:
        yield "## Runs that are left out"
        yield _left_out(comparison)


def _relations(comparison: Comparison) -> Iterator[str]:
    tables = relation_tables(comparison)
    for table in tables:
        yield f"## {_text(table.title)}"
        yield _made(table)
    if tables:
        yield "\n".join(f"- {note}" for note in _texts(relation_notes()))


def _cut(cut: Cut) -> Iterator[str]:
    yield f"## {cut.title}"
    yield " ".join(cut.notes)
    yield _made(main_table(cut.comparison))
    for table in relation_tables(cut.comparison):
        yield f"### {_text(table.title)}"
        yield _made(table)
    if cut.comparison.left_out:
        yield "Left out:"
        yield _left_out(cut.comparison)


def _settings(comparison: Comparison) -> Iterator[str]:
    ordinary = comparison.usual
    if ordinary:
        yield "## Settings that differ"
        yield f"Unless its row says otherwise, a configuration has {_codes(ordinary)}."
        rows = [
            [_text(row.name), _codes(deviations(row.settings, ordinary)) or "nothing"]
            for row in comparison.configurations
        ]
        yield _table(["configuration", "its own"], rows, words=2)
    lines = "\n".join(_pairs(comparison.shared))
    yield "<details>\n<summary>Settings that all of them share</summary>"
    yield f"```text\n{lines}\n```"
    yield "</details>"


def _left_out(comparison: Comparison) -> str:
    return _table(["run", "why"], [_texts(pair) for pair in comparison.left_out], words=2)


def _made(table: Table) -> str:
    return _table(_texts(table.head), [_texts(row) for row in table.rows], table.words)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> str:
    """Render cells that are Markdown; columns after the first `words` ones are numbers."""
    rule = ["---" if index < words else "---:" for index in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _pairs(settings: Settings) -> list[str]:
    return [f"{key}={one_line(value)}" for key, value in settings.items()]


def _codes(settings: Settings) -> str:
    return ", ".join("`" + pair.replace("`", "'").replace("|", "\\|") + "`" for pair in _pairs(settings))


def _text(text: str) -> str:
    """Write text so that Markdown shows it as it is."""
    return re.sub(r"([\\`*<\[\]|])", r"\\\1", one_line(text))


def _texts(texts: Sequence[str]) -> list[str]:
    return [_text(text) for text in texts]


def _surroundings(path: Path) -> tuple[str, str]:
    """Give what stands before and after an earlier page's own part."""
    if not path.exists():
        return "", "\n"
    before, start, rest = path.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise SettingError("--output", path, "exists and is not a page of `fedphd compare`; use another name")
    return before, after

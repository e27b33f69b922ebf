"""What README, ARCHITECTURE, CONTRIBUTING, CHANGELOG and docs/ say of links, paths and settings is true."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
PAGES = sorted(str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
MADE = {"build", "dist", "runs"}  # folders that are in no commit
ROOMS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - MADE
LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
SETTING = re.compile(r"(?<![\w./+-])\+{0,2}([a-z_]+(?:[./][a-z_]+)*)=([^\s'\"`)]*)")
NAME = re.compile(r"[a-z_]+(?:\.[a-z_]+)+")
CHOICE = re.compile(r"[a-z][a-z0-9_]*")
FILES = (".safetensors", ".json", ".jsonl", ".yaml", ".html", ".log", ".env", ".txt", ".db", ".svg")
HISTORY = {"CHANGELOG.md"}  # also tells of names that are gone
EXAMPLES = {"docs/extending.md"}  # makes parts that are not there; tests/e2e/test_extending_page.py runs them
MINE = re.compile(r"mine|my_\w+")  # choices that a page invents
PACKAGE = re.compile(r"^# @package ([\w.]+)$", re.MULTILINE)
PRODUCT = ("client", "common", "edge", "launch", "server")
FLOWERS = {"flwr run", "Exit Code: 305"}  # said by Flower
MADE_OF_RUNS = re.compile(r"<!-- Made by `fedphd compare`.*?<!-- End of what", re.DOTALL)
PLACEHOLDERS = {"group", "group.key", "status"}  # the last one is systemd's


def text(page: str) -> str:
    """Read a page, but for what `fedphd compare` made of runs, whose settings have the names of their time."""
    return MADE_OF_RUNS.sub("", (ROOT / page).read_text())


def code(page: str) -> Iterator[str]:
    """Yield the code of a page: blocks but diagrams and shown mistakes, and spans."""
    yield from (block for kind, block in BLOCK.findall(text(page)) if kind not in ("console", "mermaid"))
    yield from (" ".join(span.split()) for span in SPAN.findall(prose(page)))


def prose(page: str) -> str:
    return BLOCK.sub("", text(page))


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def names_of(tree: object, above: str) -> Iterator[str]:
    """Yield the dotted names of a tree of settings, of its branches too."""
    yield above
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from names_of(value, f"{above}.{key}")


@cache
def groups() -> dict[str, set[str]]:
    """List the choices of each group, also of those within another."""
    found: dict[str, set[str]] = {}
    for file in CONF.glob("*/**/*.yaml"):
        found.setdefault(str(file.parent.relative_to(CONF)), set()).add(file.stem)
    return found


@cache
def settings() -> set[str]:
    """List all settings: those of `config.yaml`, and of every choice of a group."""
    top = yaml.safe_load((CONF / "config.yaml").read_text())
    known = {name for key, value in top.items() for name in names_of(value, key)} - {"defaults"}
    for group, choices in groups().items():
        for content in ((CONF / group / f"{choice}.yaml").read_text() for choice in choices):
            package, tree = PACKAGE.search(content), yaml.safe_load(content)
            above = package[1] if package else group
            if above == "_global_":  # it sets what other groups have; a model also what is its own
                above, tree = group, tree.get(group, {})
            known |= set(names_of(tree, above))
    return known | {"method", "hydra.searchpath"}


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len(text("README.md").split()) <= 1000


def test_the_tree_in_the_readme_is_the_repository() -> None:
    [tree] = [block for kind, block in BLOCK.findall(text("README.md")) if kind == "text"]
    shown, top = set(), ""
    for line in tree.splitlines():
        folder = line.split()[0].rstrip("/")
        top = top if line.startswith(" ") else folder
        shown.add(f"{top}/{folder}" if line.startswith(" ") else folder)
    packages = {file.parent.relative_to(ROOT) for file in ROOT.glob("*/*/__init__.py")}
    inside = {str(path) for path in packages if path.parts[0] in ("common", "launch")}
    assert {name for name in ROOMS if not name.endswith(".egg-info")} | inside == shown


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_are_there(page: str) -> None:
    broken = []
    for target in (first or second for first, second in LINK.findall(prose(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY | EXAMPLES])
def test_paths_are_there(page: str) -> None:
    """A path of the repository begins with one of its folders; ``<name>`` stands for any."""
    spans = {word for span in SPAN.findall(prose(page)) for word in span.split()}
    paths = {word.rstrip(",:;") for word in spans if "/" in word and word.split("/")[0] in ROOMS}
    patterns = {path: re.sub(r"<[^>]+>", "*", path.split("::")[0]).rstrip("/") for path in paths}
    assert {path for path, pattern in patterns.items() if not any(ROOT.glob(pattern))} == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY | EXAMPLES])
def test_choices_are_there(page: str) -> None:
    unknown = set()
    for key, value in (found for words in code(page) for found in SETTING.findall(words)):
        chosen = {choice for choice in value.strip("[]").split(",") if CHOICE.fullmatch(choice)}
        chosen -= {choice for choice in chosen if MINE.fullmatch(choice) or f"{key}/{choice}.yaml" in text(page)}
        unknown |= {f"{key}={choice}" for choice in chosen - groups().get(key, chosen) - {"null"}}
    assert unknown == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY | EXAMPLES])
def test_what_is_set_is_a_group_or_a_setting(page: str) -> None:
    """In a span that sets one thing, and after the command."""
    spans = [words for words in code(page) if SETTING.fullmatch(words)]
    commands = [line for words in code(page) for line in words.splitlines() if re.match(r"(\S+/)?fedphd ", line)]
    given = {key for words in spans + commands for key, _ in SETTING.findall(re.sub(r"(--host|-sc) \S+", "", words))}
    assert given - set(groups()) - settings() - PLACEHOLDERS == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY | EXAMPLES])
def test_settings_are_there(page: str) -> None:
    """A dotted name is a setting if it begins with a group or a key of `config.yaml`."""
    given = {key for words in code(page) for key, _ in SETTING.findall(words)}
    named = {name.rstrip(".") for words in code(page) for name in words.split() if NAME.fullmatch(name)}
    first = {name.split(".")[0] for name in settings()}
    claimed = {name for name in given | named if name.split(".")[0] in first and not name.endswith(FILES)}
    assert {name for name in claimed if name not in settings()} == set()


def test_each_decision_has_the_next_number_and_is_listed() -> None:
    records = sorted(file.name for file in (ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert [name[:4] for name in records] == [f"{number:04d}" for number in range(1, len(records) + 1)]
    assert [name for name in records if f"]({name})" not in text("docs/decisions/README.md")] == []


def test_settings_lists_all_choices_of_each_group() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", text("docs/settings.md"), re.MULTILINE)
    listed = {group: {name for name in SPAN.findall(cell) if CHOICE.fullmatch(name)} for group, cell in rows}
    inner = {group for group in groups() if "/" in group}
    assert listed | {group: groups()[group] for group in {"method"} | inner} == groups()


def test_methods_lists_all_methods() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", text("docs/methods.md").split("## Parts")[0], re.MULTILINE))
    assert listed == groups()["method"]


def test_troubleshooting_quotes_what_the_code_says() -> None:
    """``...`` stands for what differs from case to case."""
    said = "".join(file.read_text() for room in PRODUCT for file in (ROOT / room).rglob("*.py"))
    cells = re.findall(r"^\| (.*?) \|", text("docs/troubleshooting.md"), re.MULTILINE)
    quoted = [span for cell in cells for span in SPAN.findall(cell) if " " in span and span not in FLOWERS]
    pieces = {piece.strip(" ()=") for span in quoted for piece in span.split("...")} - {""}
    assert len(quoted) > 5 and {piece for piece in pieces if piece not in said} == set()


@pytest.mark.parametrize("page", PAGES)
def test_sub_commands_are_there(page: str) -> None:
    known = {file.stem for file in (ROOT / "launch/commands").glob("*.py")}
    words = " \n".join(code(page))
    assert set(re.findall(r"(?<!--namespace )(?<![\w.-])fedphd ([a-z]+)(?= |\n|$)", words)) - known == set()

"""`docs/run-folder.md` says what the models say: no file, event or field is missing there, and none is too many."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from fedphd.common.run.events import EVENTS, Event
from fedphd.common.run.metrics import Metrics
from fedphd.common.run.run_folder import NAMES

PAGE = (Path(__file__).parents[2] / "docs" / "run-folder.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^#+ (.+)\n((?:(?!#).*\n)*)", PAGE, re.M))


def rows(section: str) -> list[list[str]]:
    """Read the cells of a section's table, without its head."""
    lines = [line for line in SECTIONS[section].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def fields(model: type[BaseModel], *but: str) -> list[list[str]]:
    """Give the rows that a model's table must have: the key, whether it is always there, and what it is."""
    return [
        [f"`{name}`", "yes" if field.is_required() else "", str(field.description)]
        for name, field in model.model_fields.items()
        if name not in but
    ]


def test_every_file_is_described_once() -> None:
    described = [re.findall(r"`([^`]+)`", row[0])[0].rstrip("/") for row in rows("Files")]
    assert sorted(described) == sorted(NAMES)


def test_every_event_has_a_section() -> None:
    assert {title.strip("`") for title in SECTIONS if title.startswith("`")} == set(EVENTS)


@pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)
def test_an_events_table_is_its_model(kind: type[Event]) -> None:
    assert rows(f"`{kind.name}`") == fields(kind, "time")
    said = " ".join(SECTIONS[f"`{kind.name}`"].partition("|")[0].split())
    assert said.startswith(" ".join(str(kind.__doc__).split()))


def test_what_all_events_have_is_described() -> None:
    described = {row[0].strip("`") for row in rows("The ledger")}
    assert described == {"time", "event", "tier", "node"}
    assert str(Event.model_fields["time"].description) in SECTIONS["The ledger"]


def test_the_table_of_metrics_is_their_model() -> None:
    assert rows("The metrics") == fields(Metrics)


@pytest.mark.parametrize("model", [*EVENTS.values(), Metrics])
def test_every_field_says_what_it_is(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []

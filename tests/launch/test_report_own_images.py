"""What the report shows of the clients' own images."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_writer import RunWriter

from fedphd.common.run.events import Assess, Compare
from fedphd.common.run.ledger import Ledger
from fedphd.launch.report import write_report
from fedphd.launch.report.own_images import (
    badly_served,
    copies_table,
    distance_plot,
    loss_table,
    rounds_plot,
    time_plot,
)
from fedphd.launch.report.recorded_run import RecordedRun


def assess(ledger: Ledger, number: int, client: int, loss: float, training: float = 0.1) -> None:
    losses = [loss * (10 - at) / 5.5 for at in range(10)]  # higher at early times; `loss` in the mean
    told = {"loss": losses, "training_loss": [training] * 10}
    ledger.write(Assess(round=number, peer=f"client-{client}", images=7, **told))


def compare(ledger: Ledger, client: int, copies: int, **more: bool) -> None:
    facts = {"expected": 0.125, "p_value": 0.0004 if copies else 0.75, "authentic_held_out": 0.5}
    counts = {"near": copies + 1, "copies": copies, "authentic": 4}
    near = {"nearest": [0.01] * copies + [0.5] * (8 - copies), "held_out_nearest": [0.4] * 7}
    ledger.write(Compare(round=4, peer=f"client-{client}", **counts, **facts, flagged=copies > 0, **near, **more))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    writer = RunWriter(tmp_path, prune_after=None, planned=4, every=2)
    writer.start()
    for number in range(1, 5):
        writer.round(number)
        if number % 2 == 0:
            for client, loss in enumerate((0.10, 0.101, 0.103, 0.3)):
                assess(writer.ledger, number, client, loss + 0.1 * (number == 2))
    for client, copies in enumerate((0, 3)):
        compare(writer.ledger, client, copies)
    compare(writer.ledger, 2, 0, blind=True)
    return tmp_path


def test_each_client_stands_in_the_table_and_one_that_is_badly_served_stands_out(folder: Path) -> None:
    table = loss_table(RecordedRun.read(folder))
    assert table is not None
    assert table.title == "The model of round 4 at each client"
    assert [list(row[:2]) for row in table.rows] == [
        ["client-0", ""],
        ["client-1", ""],
        ["client-2", ""],
        ["client-3", "badly served, overfitted"],
    ]
    assert list(table.rows[3][2:]) == ["7", "0.3000", "0.1000", "+200.0 %"]
    assert list(table.rows[1][2:]) == ["7", "0.1010", "0.1000", "+1.0 %"]


@pytest.mark.parametrize(
    ("losses", "bad"),
    [
        ([0.1, 0.1, 0.1, 0.1], []),
        ([0.1, 0.1, 0.1, 0.105], []),  # far off by deviations, and yet near
        ([0.1, 0.2, 0.3, 0.4], []),
        ([0.1, 0.11, 0.09, 0.2], [3]),
        ([0.1, 0.5], []),  # of two, who would be off?
    ],
)
def test_who_is_badly_served(losses: list[float], bad: list[int]) -> None:
    assert badly_served({str(number): loss for number, loss in enumerate(losses)}) == [str(number) for number in bad]


def test_plots_have_words(folder: Path) -> None:
    run = RecordedRun.read(folder)
    plots = [plot(run) for plot in (time_plot, rounds_plot, distance_plot)]
    assert [plot.picture.startswith("<svg") for plot in plots if plot] == [True] * 3
    words = [plot.alt for plot in plots if plot]
    # 0.604 / 4 in the mean, times 10 / 5.5 at first and 1 / 5.5 at last.
    assert "held-out images against diffusion time: 0.275 at 50," in words[0] and "0.0275 at 950." in words[0]
    assert words[1] == "Loss on held-out images: 0.2510 in round 2, 0.1510 in round 4."
    assert words[2] == "Median distance to the nearest training image: held-out images 0.400, generated images 0.500."


def test_copies_are_told_of_each_client(folder: Path) -> None:
    table = copies_table(RecordedRun.read(folder))
    assert table is not None
    assert table.title == "Are generated images of round 4 copies?"
    assert [list(row) for row in table.rows] == [
        ["client-0", "no sign", "7", "8", "12.5", "12.5", "0.75", "0", "50 (50)"],
        ["client-1", "memorised", "7", "8", "50.0", "12.5", "0.0004", "3", "50 (50)"],
        ["client-2", "cannot tell", "7", "8", "12.5", "12.5", "0.75", "0", "50 (50)"],
    ]


def test_the_page_shows_nearest_images_where_there_are_any(folder: Path) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
    assert "Are generated images of round 4 copies?" in page
    assert "their nearest training images" not in page
    (folder / "evaluation").mkdir()
    picture = folder / "evaluation" / "nearest.png"
    file = io.BytesIO()
    Image.fromarray(np.zeros((4, 8), np.uint8)).save(file, format="PNG")
    picture.write_bytes(file.getvalue())
    page = write_report(folder).read_text(encoding="utf-8")
    assert "Generated images and their nearest training images" in page
    assert "By the model of round 4. Pairs: " in page
    picture.write_bytes(file.getvalue()[:-3])  # torn
    assert "their nearest training images" not in write_report(folder).read_text(encoding="utf-8")


def test_a_run_that_asked_nobody_says_so(tmp_path: Path) -> None:
    RunWriter(tmp_path).start()
    run = RecordedRun.read(tmp_path)
    assert [one(run) for one in (loss_table, copies_table, time_plot, rounds_plot, distance_plot)] == [None] * 5
    assert "The clients were not asked about images of their own" in write_report(tmp_path).read_text(encoding="utf-8")

"""The page of a comparison, and its plot."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compared_runs import write_run
from matplotlib.axes import Axes

from fedphd.common.errors import SettingError
from fedphd.launch.compare.comparison import Comparison, compare
from fedphd.launch.compare.page import END, START, render, write_page
from fedphd.launch.compare.plot import draw_plot, how_to_read
from fedphd.launch.report import drawing


def test_page(comparison: Comparison, tmp_path: Path) -> None:
    page = tmp_path / "docs" / "trial.md"
    write_page(comparison, page, "A *small* trial")
    text = page.read_text()
    lines = text.splitlines()
    assert lines[0] == START
    assert lines[-1] == END
    assert lines[2] == "# A *small* trial"
    assert lines[4].startswith("| configuration | seeds | fd_classifier ↓ |")
    assert lines[5].startswith("| --- | --- | ---: |")
    assert lines[6].startswith("| fedavg | 0, 1 | 30.0 ± 14.1 | 0.100 | 64.0 | 6.40 | 70.4 |")
    assert len({line.count("|") for line in lines[4:9]}) == 1
    assert "fedavg 30.0 at 70.4 MB, fedprox 32.0 at 70.4 MB.](trial.svg)" in text
    kind, weight = "objective.terms.proximal.kind", "objective.terms.proximal.weight"
    assert f"Unless its row says otherwise, a configuration has `{kind}=(unset)`, `{weight}=(unset)`." in text
    assert f"| fedavg | nothing |\n| fedprox | `{kind}=proximal`, `{weight}=0.1` |" in text
    shared_lines = text[text.index("```text") : text.index("\n```\n")].splitlines()
    assert "topology.clients=10" in shared_lines
    assert not {line.partition("=")[0] for line in shared_lines} & {"method", "seed", kind, weight}
    words = {element.text for element in ET.parse(page.with_suffix(".svg")).iter() if element.text}
    assert {"fedavg", "fedprox", "real held-out images", "payload of all hops, both ways (MB)"} <= words


def test_page_and_plot_are_the_same_each_time(comparison: Comparison, tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        write_page(comparison, tmp_path / name, "")
    assert (tmp_path / "a.md").read_text() == (tmp_path / "b.md").read_text().replace("b.svg", "a.svg")
    assert (tmp_path / "a.svg").read_text() == (tmp_path / "b.svg").read_text()


def test_page_keeps_what_a_person_wrote(comparison: Comparison, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_page(comparison, page, "Old")
    page.write_text(f"Before.\n\n{page.read_text()}\nAfter.\n")
    write_page(comparison, page, "New")
    text = page.read_text()
    assert text.startswith(f"Before.\n\n{START}\n\n# New\n")
    assert text.endswith(f"{END}\n\nAfter.\n")
    assert "# Old" not in text


def test_page_does_not_take_another_file(comparison: Comparison, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("mine\n")
    with pytest.raises(SettingError, match="exists and is not a page of `fedphd compare`"):
        write_page(comparison, readme, "")
    with pytest.raises(SettingError, match=r"--output=.*page.svg: must be a Markdown page"):
        write_page(comparison, tmp_path / "page.svg", "")
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]
    assert readme.read_text() == "mine\n"


def test_words_of_others_cannot_break_the_page(tmp_path: Path) -> None:
    write_run(tmp_path / "a", method="x|<b>`y`\n# z")
    page = render(compare([tmp_path]), "", None)
    assert r"| x\|\<b>\`y\` # z | 0 |" in page


def test_plot_tells_sixteen_rows_apart(tmp_path: Path) -> None:
    for index in range(16):

        def shrink(line: dict[str, Any], divisor: int = 1 + 2 * index) -> None:
            for key in line:
                if key.endswith("_bytes"):
                    line[key] //= divisor

        write_run(tmp_path / f"{index}_run", factor=1 - index / 32, method=f"method_{index}", change=shrink)
    with drawing.style():
        figure = draw_plot(compare([tmp_path]))
    assert figure is not None
    (axes,) = figure.axes
    curves = [line for line in axes.lines if str(line.get_label()).startswith("method_")]
    assert len({(line.get_color(), line.get_linestyle()) for line in curves}) == 16
    # Bytes end up to 31 times apart; the start at 0 bytes stays in the picture.
    assert axes.get_xscale() == "symlog"
    assert axes.get_xlim()[0] == 0
    assert [line.get_xdata()[0] for line in curves] == [0] * 16
    legend = axes.get_legend()
    assert legend is not None
    named = [text.get_text() for text in legend.get_texts()]
    assert named == [*(f"method_{index}" for index in range(16)), "real held-out images"]
    # Nothing is drawn outside the picture.
    figure.draw_without_rendering()
    window = figure.get_tightbbox()
    assert 0 <= window.x0 <= window.x1 <= figure.get_figwidth()
    assert 0 <= window.y0 <= window.y1 <= figure.get_figheight()


def test_long_names_leave_room_for_the_plot(tmp_path: Path) -> None:
    options = {"training__lr": 1e-4, "topology__participation": 0.1, "diffusion__beta_schedule": "squaredcos_cap_v2"}
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", **options)
    with drawing.style():
        figure = draw_plot(compare([tmp_path]))
        assert figure is not None
        figure.draw_without_rendering()
    assert figure.axes[0].get_position().width > 0.5


def test_plot_of_like_bytes_is_linear_and_has_bands(tmp_path: Path) -> None:
    write_run(tmp_path / "a", factor=0.5, seed=0, evaluation__final_images=None)
    write_run(tmp_path / "b", factor=0.25, seed=1, evaluation__final_images=None)
    write_run(tmp_path / "c", method="fedprox", evaluation__final_images=None)
    axes = drawn(compare([tmp_path]))
    assert axes.get_xscale() == "linear"
    (band,) = axes.collections  # of the one configuration with two seeds
    extent = band.get_paths()[0].get_extents()
    # From the lower seed's last value to the higher one's first, in MB and quality.
    assert (extent.x1, extent.y0, extent.y1) == pytest.approx((70.4, 20, 200))
    assert "Open marks" not in how_to_read(compare([tmp_path]))


def test_no_line_leads_to_what_was_measured_over_other_images(comparison: Comparison) -> None:
    """The last evaluation is over 1,000 images, those before over 200."""
    axes = drawn(comparison)
    curve = next(line for line in axes.lines if line.get_label() == "fedavg")
    assert np.asarray(curve.get_xdata()) == pytest.approx([0, 35.2])
    marks = [line for line in axes.lines if line.get_fillstyle() == "none"]
    assert [np.ravel(line.get_xydata()) for line in marks] == [
        pytest.approx([70.4, 30]),
        pytest.approx([70.4, 32]),
    ]
    (band,) = axes.collections
    assert band.get_paths()[0].get_extents().x1 == pytest.approx(35.2)
    note = "Open marks, apart from the lines: evaluations over 1000 images, after the last round; those before are over"
    assert f"{note} 200. Over more images a distance is lower for that alone." in render(comparison, "", "a.svg")


def test_real_images_of_the_plot_are_those_that_are_not_the_reference(tmp_path: Path) -> None:
    write_run(tmp_path / "a", evaluation__reference="holdout")
    labels = {line.get_label() for line in drawn(compare([tmp_path])).lines}
    assert "real training images" in labels and "real held-out images" not in labels


def drawn(comparison: Comparison) -> Axes:
    with drawing.style():
        figure = draw_plot(comparison)
    assert figure is not None
    (axes,) = figure.axes
    return axes

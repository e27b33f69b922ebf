"""The report is made from a run folder's files alone, so the tests write such files with the run's own writers."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from run_writer import RunWriter

from fedphd.common.errors import SettingError
from fedphd.common.run.events import Correct, Fail, Finish, Lost, Plan, Refuse, Resume
from fedphd.common.run.ledger import Ledger
from fedphd.launch.commands import COMMANDS
from fedphd.launch.report import write_report
from fedphd.launch.report.recorded_run import RecordedRun

FILES = ["config.yaml", "partition.json", "metrics.jsonl", "ledger.jsonl", "samples/round_0012.png"]
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Page(HTMLParser):
    """Checks that tags balance and collects what the page links to and says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.text: list[str] = []
        self.pictures: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h2", "h3"):
            self.headings.append(data.strip())
        if "style" not in self.open:
            self.text.append(data)

    def _attributes(self, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [found[name] or "" for name in ("src", "href", "xlink:href", "action", "data") if name in found]
        self.ids += [found["id"] or ""] if "id" in found else []
        if found.get("role") == "img":
            self.pictures.append(found["aria-label"] or "")

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    writer = RunWriter(tmp_path_factory.mktemp("finished"))
    writer.start()
    for root_round in range(1, 13):
        writer.round(root_round)
    writer.ledger.write(Finish(seconds=130.0, model="0" * 64))
    return writer.folder


@pytest.fixture(scope="module")
def page_text(finished: Path) -> str:
    path = write_report(finished)
    assert path == finished / "report.html"
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(page_text: str) -> Page:
    return Page(page_text)


def test_needs_no_other_file(page: Page, page_text: str) -> None:
    assert page.links
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert not re.search(r"@import|url\((?!#)", page_text)
    assert "<script" not in page_text


def test_references_within_the_page_lead_somewhere(page: Page, page_text: str) -> None:
    inner = [link[1:] for link in page.links if link.startswith("#")] + re.findall(r"url\(#([^)]+)\)", page_text)
    assert set(inner) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_images_decode(page: Page) -> None:
    images = [link for link in page.links if link.startswith("data:image/png;base64,")]
    # The last grid, four in the small multiples (rounds 0, 4, 8, 12), and the two heat maps.
    assert len(images) == 1 + 4 + 2
    for link in images:
        Image.open(io.BytesIO(base64.b64decode(link.partition(",")[2]))).load()


def test_headline_numbers(page: Page) -> None:
    # 400 / 13 = 30.769.
    assert "Fréchet distance (fd_classifier) 30.8 after round 12; real held-out images 6.12" in page.words
    assert "parameters (millions) 0.100 → 0.0563 56.2 % kept; 4.40 M MACs per image" in page.words
    # 10 clients x 2 edge rounds x 4 bytes x (8 rounds x 100,000 + 4 rounds x 56,250) = 82 MB each way.
    assert "payload, access hop 164 MB 82.0 MB down, 82.0 MB up" in page.words
    # 2 edges x 4 bytes x 1,025,000 = 8.2 MB each way.
    assert "payload, backbone hop 16.4 MB 8.20 MB down, 8.20 MB up" in page.words
    assert "root rounds 12 / 12 24 edge rounds" in page.words
    # 130 s and the last evaluation's 1.5 s.
    assert "wall time 2 min 12 s 8.2 s per root round" in page.words
    assert "fedphd on digits finished model digits8" in page.words
    assert "seed 0" in page.words


def test_tables(page: Page) -> None:
    # 12 rounds: 82 / 12 = 6.83 MB a round; 4 bytes a number; 20 messages a round; 2000 more bytes each as encoded.
    assert "access down 82.00 6.83 20.50 240 82.48" in page.words
    assert "backbone up 8.20 0.68 2.05 24 8.25" in page.words
    assert "all 180.40 15.03 45.10 528 181.46" in page.words
    assert "parameters 8 0.25 100,000 56,250 56.2" in page.words
    assert "MACs per image 8 0.25 8,000,000 4,400,000 55.0" in page.words
    # Two of ten classes in equal parts: 2 - sqrt(2 * 0.4^2 + 8 * 0.1^2) = 1.368 (the authors' CIFAR-10 clients).
    assert "client-9 edge-0, edge-1 150 2 1.368" in page.words


def test_every_plot_has_words(page: Page) -> None:
    alternatives = " ".join(page.pictures)
    quality = "Fréchet distance (fd_classifier) against"
    assert len(page.pictures) == 9
    assert (
        "Fréchet distance (fd_classifier) against root round: 400 at 0, 80.0 at 4, 44.4 at 8, 30.8 at 12"
        in alternatives
    )
    # Bytes after 4 rounds: 4 x (20 + 2) x 2 ways x 0.4 MB = 70.4 MB.
    assert f"{quality} payload of all hops (MB): 400 at 0, 80.0 at 70.4," in alternatives
    assert "Training loss against root rounds: 0.2500 in round 1, 0.0385 in round 12, lowest 0.0385" in alternatives
    assert "0 19.0 %, 1 9.0 %" in alternatives
    # |0.19 - 0.1| + 9 * |0.09 - 0.1| = 0.18, halved.
    assert "Total variation distance to uniform: 0.090" in page.words


def test_plots_follow_the_page_colours(page_text: str) -> None:
    assert "prefers-color-scheme: dark" in page_text
    assert "fill: var(--ink)" in page_text
    for stand_in in ("#0a0b0c", "#5a5b5c", "#dadbdc", "#fafbfc"):
        assert stand_in not in page_text


def test_same_folder_gives_same_page(finished: Path, page_text: str) -> None:
    assert write_report(finished).read_text(encoding="utf-8") == page_text


def test_events_to_look_at_are_escaped(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path)
    writer.start()
    writer.round(1)
    assert "no update was refused or lost" in Page(write_report(tmp_path).read_text()).words
    where = {"round": 2, "edge_round": 3}
    refused = Refuse(**where, peer="client-4", reason="<script>alert(1)</script> is\nnot finite")
    writer.ledger.write(refused, "edge-1")
    writer.ledger.write(Lost(**where, peer="client-5", reason="error 3: no node"), "edge-1")
    writer.ledger.write(Fail(reason="QuorumError: edge-1: 1 of 5"))
    text = write_report(tmp_path).read_text()
    assert "<script>" not in text
    words = Page(text).words
    assert "refuse edge-1 2 3 client-4 <script>alert(1)</script> is not finite" in words
    assert "lost edge-1 2 3 client-5 error 3: no node" in words
    assert "fail root QuorumError: edge-1: 1 of 5" in words
    assert "fedphd on digits failed" in words


def test_flat_run_has_no_backbone_and_no_edges(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, edges=0, edge_rounds=1, prune_after=None, planned=2)
    writer.start()
    writer.round(1)
    page = Page(write_report(tmp_path).read_text())
    assert "fedavg on digits running" in page.words
    assert "10 clients, flat" in page.words
    assert "backbone" not in page.words.partition("All settings of the run")[0]
    assert "Root weights" not in page.headings
    assert "parameters (millions) 0.100 not pruned; 8.00 M MACs" in page.words
    assert "The U-Net is not pruned in this run." in page.words


def corrected(folder: Path, kind: str, *rounds: int) -> RunWriter:
    writer = RunWriter(folder, prune_after=None, planned=4)
    writer.start(f"correction={kind}", *(["correction.window=2"] if kind == "once" else []))
    for root_round in range(1, 4):
        if root_round in rounds:
            writer.ledger.write(Correct(round=root_round, steps=200, loss=0.125, seconds=4.0))
        writer.round(root_round)
    return writer


def test_corrections_are_told(tmp_path: Path) -> None:
    corrected(tmp_path / "once", "once", 2)
    corrected(tmp_path / "never", "once")
    corrected(tmp_path / "each", "each_round", 1, 2, 3)
    corrected(tmp_path / "not", "none")
    pages = {folder.name: Page(write_report(folder).read_text()).words for folder in tmp_path.iterdir()}
    assert "corrected models after round 2 200 steps on 1000 auxiliary images; 4.0 s in all" in pages["once"]
    assert "corrected models none so far learning has not been slow" in pages["never"]
    # 3 x 4 s.
    assert "corrected models of 3 rounds 20 steps on 1000 auxiliary images; 12.0 s in all" in pages["each"]
    assert "corrected models" not in pages["not"]


def test_correction_that_a_resume_took_back_does_not_count(tmp_path: Path) -> None:
    writer = corrected(tmp_path, "once", 2)
    assert list(RecordedRun.read(tmp_path).history.corrections) == [2]
    writer.ledger.write(Resume(round=1))
    assert list(RecordedRun.read(tmp_path).history.corrections) == []


def test_resumed_run_counts_each_round_once(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, prune_after=2)
    writer.start()
    for root_round in (1, 2, 3):
        writer.round(root_round)
    writer.ledger.write(Resume(round=1))
    run = RecordedRun.read(tmp_path)
    assert (list(run.history.commits), list(run.history.prunings), run.status) == ([1], [], "running")
    writer.round(2)
    run = RecordedRun.read(tmp_path)
    assert [line.round for line in run.metrics] == [0, 1, 2]
    assert (list(run.history.plans), list(run.history.prunings)) == ([1, 2], [2])
    assert [type(entry.event) for entry in run.history.incidents] == [Resume]


def test_measure_that_was_changed_at_a_resume(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, every=1)
    writer.start()
    writer.round(1)
    text = writer.metrics.path.read_text()
    writer.metrics.path.write_text(text.replace("fd_classifier", "fd_mobilenet"))
    writer.round(2)
    run = RecordedRun.read(tmp_path)
    assert [line.round for line in run.evaluations] == [2]
    assert "Fréchet distance (fd_classifier) 133 after round 2" in Page(write_report(tmp_path).read_text()).words


def test_privacy_noise_leaves_fractions(tmp_path: Path) -> None:
    clients = {"client-0": {"counts": [3.0, 0.2, 0.0, 0.8], "homes": ["edge-0"]}}
    clients["client-1"] = {"counts": [0.0, 0.0, 0.0, 0.0], "homes": ["edge-0"]}
    (tmp_path / "partition.json").write_text(json.dumps({"class_names": ["a", "b", "c", "d"], "clients": clients}))
    words = Page(write_report(tmp_path).read_text()).words
    # q = (0.75, 0.05, 0, 0.2): 2 - sqrt(0.25 + 0.04 + 0.0625 + 0.0025) = 1.4042.
    assert "client-0 edge-0 4 2 1.404" in words
    assert "client-1 edge-0 0 0 n/a" in words


@pytest.mark.parametrize("name", [r"$\badcommand$", "$", "a_b^c$x$", "_hidden", "\\", "犬", "<b>&amp;"])
def test_names_of_classes_are_drawn_as_they_are(tmp_path: Path, name: str) -> None:
    writer = RunWriter(tmp_path)
    writer.start()
    clients = {"client-0": {"counts": [1, 2], "homes": ["edge-0"]}}
    (tmp_path / "partition.json").write_text(json.dumps({"class_names": [name, "other"], "clients": clients}))
    shares = {f"class_share/{name}": 0.5, "class_share/other": 0.5, "class_accuracy/other": 0.75}
    text = writer.metrics.path.read_text()
    line = json.loads(text.splitlines()[0])
    writer.metrics.path.write_text(json.dumps({**line, "fd_classifier": 4.0, **shares}) + "\n")
    page = Page(write_report(tmp_path).read_text())
    assert page.words.count(name) >= 1
    assert "it takes for that class: other 75 %" in page.words


def test_many_clients_and_rounds_stay_small(tmp_path: Path) -> None:
    names = [f"client-{index}" for index in range(120)]
    clients = {name: {"counts": [1] * 100, "homes": ["edge-0"]} for name in names}
    classes = [f"class {index}" for index in range(100)]
    (tmp_path / "partition.json").write_text(json.dumps({"class_names": classes, "clients": clients}))
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for root_round in range(1, 1001):
        assignment = [{"edge-0": [names[root_round % 120]]}]
        ledger.write(Plan(round=root_round, assignment=assignment))
    path = write_report(tmp_path)
    assert "One edge round in 3 is shown." in Page(path.read_text()).words
    assert path.stat().st_size < 1_000_000


def test_empty_folder_gives_a_page_that_says_so(tmp_path: Path) -> None:
    words = Page(write_report(tmp_path).read_text()).words
    for sentence in (
        "not started",
        "No root round has been committed so far.",
        "No sample grid has been drawn so far.",
        "The clients have not registered so far.",
        "No root round has been planned so far.",
        "no readable config.yaml",
    ):
        assert sentence in words


@pytest.mark.parametrize("torn", [*([name] for name in FILES), FILES])
def test_torn_files_still_give_a_page(finished: Path, tmp_path: Path, torn: list[str]) -> None:
    for path in [*finished.glob("*.*"), *finished.glob("samples/*")]:
        target = tmp_path / path.relative_to(finished)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    for name in torn:
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: int(0.6 * len(whole))])
    Page(write_report(tmp_path).read_text())
    assert set(RecordedRun.read(tmp_path).grids) == {0, 4, 8} | ({12} if FILES[-1] not in torn else set())


def test_line_that_a_killed_process_left_torn_is_skipped(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path)
    writer.start()
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"time": 1.0, "event": "pl')
    writer.ledger.write(Fail(reason="swallowed with the torn line before it"))
    writer.ledger.write(Resume(round=0))
    assert RecordedRun.read(tmp_path).status == "running"
    assert len(RecordedRun.read(tmp_path).history.incidents) == 1


# --- the command --------------------------------------------------------------------------------------


def test_the_command_writes_the_page_anew_or_elsewhere(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.html"
    COMMANDS["report"]([str(finished), "--output", str(again)])
    assert capsys.readouterr().out == f"report     {again}\n"
    COMMANDS["report"]([str(finished)])
    assert again.read_text() == (finished / "report.html").read_text()


def test_a_run_that_goes_on_has_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = RunWriter(tmp_path)
    writer.start()
    writer.round(1)
    COMMANDS["report"]([str(tmp_path)])
    assert "running" in (tmp_path / "report.html").read_text() and capsys.readouterr().out


@pytest.mark.parametrize("text", ["[1]", '{"clients": {"client-0": {}}}', '{"clients": 3}', '{"class_names": 3}'])
def test_a_damaged_partition_is_told_as_missing(finished: Path, tmp_path: Path, text: str) -> None:
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "partition.json").write_text(text)
    COMMANDS["report"]([str(tmp_path / "run")])
    assert "The clients have not registered so far." in (tmp_path / "run" / "report.html").read_text()


def test_a_folder_without_a_run_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^RUN=.*: is not a run folder; name one, as in fedphd report runs/FOLDER"):
        COMMANDS["report"]([str(tmp_path)])
    assert not list(tmp_path.iterdir())

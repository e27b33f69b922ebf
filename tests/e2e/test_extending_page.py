"""Every example of docs/extending.md, as it stands there: each is composed, and most of them train in one run."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCK = re.compile(r"^```(python|yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"^# ((?:my_conf|conf|my_\w+)(?:/[\w/]+)?\.(?:py|yaml))", re.MULTILINE)
NEEDED = {  # what an example asks for beside its choice
    "data/stl10": ["data.root=/tmp"],
    "model/two_layers8": ["method=fedavg"],
    "adapters/loha": ["method=fedavg", "model.init=owner/unet"],
}
TRAINED = [
    *("runtime=inprocess", "rounds=2", "topology.clients=2", "topology.edges=2", "topology.participation=1.0"),
    *("training.batch_size=25", "sampler=large_variance", "sampler.steps=2", "method=fedavg", "data=rings"),
    *(
        "model=two_layers8",
        "data.limit=60",
        "partition=sorted",
        "partition.min_samples=5",
        "+objective/term=weight_decay",
        "codec=int16",
    ),
    *("assignment=least_busy", "weighting=root_of_samples", "evaluation=pooled", "evaluation.images=4"),
    *("evaluation.grid_images=4", "evaluation.every=2", "tracking=sheet"),
]

# Runs in a process of its own, since what the examples register stays registered.
SCRIPT = """
import sys
import types
from pathlib import Path

import torch.nn.functional as F

import fedphd
from fedphd.common.training.distances import DISTANCES

DISTANCES["l1"] = F.l1_loss  # the line that the page tells of
for number, source in enumerate({inside!r}):
    name = f"example_{{number}}"
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
settings = {settings!r}
for overrides in settings:
    fedphd.compose(["hydra.searchpath=[file://{conf}]", *overrides])
if {train!r}:
    run = fedphd.train(fedphd.compose(["hydra.searchpath=[file://{conf}]", *{trained!r}]), "{run}")
    assert run.metrics[-1]["fd_pooled"] >= 0, run.metrics[-1]
    assert len((Path("{run}") / "sheet.csv").read_text().splitlines()) == 3
"""


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(PAGE.read_text()) if found == language]


def place(text: str) -> str | None:
    found = PLACE.search(text.partition("\n\n")[0])
    return found[1] if found else None


def inside() -> list[str]:
    """The Python files within the product: those of a user's own say where they lie."""
    return [text for text in blocks("python") if place(text) is None and "import" in text]


def choices() -> dict[str, str]:
    """The YAML files by group and name."""
    found = {place(text): text for text in blocks("yaml")}
    return {str(where).partition("conf/")[2].removesuffix(".yaml"): text for where, text in found.items()}


def run_examples(folder: Path, settings: list[list[str]], train: bool) -> None:
    for text in blocks("python"):
        if (where := place(text)) is not None:
            (folder / where).parent.mkdir(parents=True, exist_ok=True)
            (folder / where).write_text(text)
    for name, text in choices().items():
        (folder / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "conf" / f"{name}.yaml").write_text(text)
    facts = {"inside": inside(), "settings": settings, "train": train, "trained": TRAINED}
    script = dedent(SCRIPT).format(**facts, conf=folder / "conf", run=folder / "run")
    environment = {"PYTHONPATH": f"{folder}:{':'.join(sys.path)}", "PATH": ""}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


def test_every_kind_of_part_has_an_example_of_each_file() -> None:
    kinds = {name.rpartition("/")[0] for name in choices()}
    assert kinds >= {"data", "partition", "model", "objective/term", "objective", "exchange", "codec", "assignment"}
    assert kinds >= {"sampler", "weighting", "pruning", "correction", "evaluation", "tracking", "runtime"}
    assert len(inside()) >= 9


def test_each_example_is_a_choice(tmp_path: Path) -> None:
    settings = []
    for name in choices():
        group, _, choice = name.rpartition("/")
        chosen = f"+{group}={choice}" if group == "objective/term" else f"{group}={choice}"
        settings.append([chosen, *NEEDED.get(name, [])])
    run_examples(tmp_path, settings, train=False)


def test_the_examples_train_together(tmp_path: Path) -> None:
    run_examples(tmp_path, [], train=True)

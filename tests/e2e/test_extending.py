"""Parts of a user's own, from a folder outside the checkout: docs/extending.md shows how each is written."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from fedphd.common.config import compose
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import pack
from fedphd.launch.preflight import check
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.simulation import simulate
from fedphd.server.state import GlobalState

TINY = [
    *("runtime=inprocess", "method=fedavg", "rounds=2", "data.limit=200", "training.batch_size=25"),
    *("sampler.steps=2", "evaluation=grid", "evaluation.every=9", "evaluation.grid_images=4"),
    *("topology.clients=2", "topology.edges=0", "topology.edge_rounds=1"),
    *("topology.participation=1", "partition=iid"),
]

TERM = '''
"""An objective term: weights stay near zero, and each client's last model is looked at too."""

from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor

from fedphd.client.objective import Step, Term


class NearZero(Term):
    needs_received: ClassVar[bool] = True
    keeps_previous: Literal[True]
    power: int
    seen: Path

    def value(self, step: Step) -> Tensor | None:
        with self.seen.open("a") as file:
            print(step.compared.received is not None, step.compared.previous is not None, file=file)
        return self.weight * sum(p.abs().pow(self.power).sum() for p in step.unet.parameters())
'''

NETWORK = '''
"""A network: two convolutions, told the time."""

from types import SimpleNamespace

import torch
from torch import nn


class TwoLayers(nn.Module):
    def __init__(self, sample_size: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels + 1, width, 3, padding=1)
        self.conv_out = nn.Conv2d(width, in_channels, 3, padding=1)

    def forward(self, sample, timestep):
        t = torch.as_tensor(timestep, device=sample.device).expand(len(sample)) / 1000
        time = t[:, None, None, None].expand(-1, 1, *sample.shape[2:])
        return SimpleNamespace(sample=self.conv_out(torch.relu(self.conv_in(torch.cat([sample, time], 1)))))


class OddNames(TwoLayers):
    def __init__(self, **options):
        super().__init__(**options)
        self.extra = nn.Linear(1, 1)
'''

DISTANCE = '''
"""A distance: the mean absolute error."""


def absolute(prediction, noise):
    return (prediction - noise).abs().mean()
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder on PYTHONPATH."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name, text in {"own_terms": TERM, "own_networks": NETWORK, "own_distances": DISTANCE}.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    return folder


def run(run_dir: Path, *overrides: str) -> GlobalState:
    config = compose([*TINY, *overrides])
    check(config)
    return simulate(in_process_grid(config, run_dir), config, run_dir)


def terms(folder: Path, *more: str) -> list[str]:
    options = {"kind": "own_terms:NearZero", "weight": 0.01, "power": 2, "keeps_previous": "true"}
    given = [f"+objective.terms.near_zero.{name}={value}" for name, value in options.items()]
    return [*given, f"+objective.terms.near_zero.seen={folder / 'seen'}", *more]


def test_an_objective_term(own: Path, tmp_path: Path) -> None:
    state, without = run(tmp_path / "with", *terms(own)), run(tmp_path / "without")
    assert state.losses[0] > without.losses[0] + 0.1
    lines = (own / "seen").read_text().splitlines()
    # Two clients in two rounds; the first time, a client has no previous model.
    assert set(lines) == {"True False", "True True"}
    assert lines[0] == "True False" and lines[-1] == "True True"


def test_a_term_from_a_configuration_folder_of_the_users_own(own: Path) -> None:
    folder = own / "conf" / "objective" / "term"
    folder.mkdir(parents=True)
    (folder / "near_zero.yaml").write_text(
        "# @package objective.terms.near_zero\n"
        f"{{kind: own_terms:NearZero, weight: 0.5, power: 2, seen: {own / 'seen'}, keeps_previous: true}}\n"
    )
    search = f"hydra.searchpath=[file://{own / 'conf'}]"
    config = compose([*TINY, search, "+objective/term=near_zero", "objective.terms.near_zero.power=4"])
    assert config.objective.terms["near_zero"].model_dump()["power"] == 4
    check(config)


def test_a_local_model_is_trained_without_a_term_that_does_not_ask_for_it(own: Path, tmp_path: Path) -> None:
    alone = ["method=fedddpm", "correction.local_epochs=1", "correction.images=4", "correction.chunk=4"]
    alone += ["correction.steps=1", "rounds=1"]
    state, without = run(tmp_path / "with", *terms(own, *alone)), run(tmp_path / "without", *alone)
    images = [
        {file.name: load_file(file)["images"].tobytes() for file in (tmp_path / one).rglob("client-*.safetensors")}
        for one in ("with", "without")
    ]
    assert len(images[0]) == 2 and images[0] == images[1]
    assert state.model.hash != without.model.hash


def network(name: str) -> list[str]:
    unet = "+model.unet={sample_size:8,in_channels:1,width:4}"
    return [f"model.network=own_networks:{name}", "~model.unet", unet]


def test_a_network(own: Path, tmp_path: Path) -> None:
    state = run(tmp_path / "run", *network("TwoLayers"))
    layers = [f"{layer}.{kind}" for layer in ("conv_in", "conv_out") for kind in ("weight", "bias")]
    assert [name for name, _ in state.model.structure.tensors] == layers
    assert state.model.structure.shapes["conv_in.weight"] == (4, 2, 3, 3)
    untrained = pack(build_unet(compose([*TINY, *network("TwoLayers")]).model, 0).state_dict())
    assert state.model.hash != untrained.hash
    assert (tmp_path / "run" / "samples" / "round_0002.png").is_file()


@pytest.mark.parametrize(
    ("name", "override", "told"),
    [
        ("TwoLayers", "pruning=at_start", "model.network=own_networks:TwoLayers: cannot be pruned"),
        ("TwoLayers", "objective=contrastive", r"objective.terms.contrastive.kind=contrastive: .* its mid_block"),
        ("TwoLayers", "exchange=usplit", "exchange=usplit: needs .*this one has no bottleneck.*; use exchange=full"),
        ("OddNames", "exchange=udec", "exchange=udec: needs a network with diffusers' parts .*extra.weight"),
    ],
)
def test_what_a_network_cannot_do_is_found_before_a_start(own: Path, name: str, override: str, told: str) -> None:
    with pytest.raises(SettingError, match=f"^{told}"):
        check(compose([*TINY, *network(name), override]))


def test_a_distance(own: Path, tmp_path: Path) -> None:
    state, squared = run(tmp_path / "own", "objective.loss=own_distances:absolute"), run(tmp_path / "mse")
    assert state.model.hash != squared.model.hash
    line = json.loads((tmp_path / "own" / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["loss"] == state.losses[-1]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["+objective.terms.x.kind=own_terms:Missing", "+objective.terms.x.weight=1"], r"objective\.terms\.x\.kind"),
        (["objective.loss=own_distances:missing"], r"objective\.loss"),
        (["model.network=own_networks:Missing"], r"model\.network"),
    ],
)
def test_what_is_not_there_is_found_before_a_start(own: Path, overrides: list[str], told: str) -> None:
    with pytest.raises(SettingError, match=rf"^{told}=.*: cannot be imported"):
        check(compose([*TINY, *overrides]))

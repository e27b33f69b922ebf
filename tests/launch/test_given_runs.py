"""Whole runs that start from a given model: their course, their bytes, their resumption."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from exported_runs import TINY, write_run
from helpers import small_config

import fedphd
from fedphd.common.config import Config, compose
from fedphd.common.data import load
from fedphd.common.errors import RegistrationError, SettingError
from fedphd.common.network.build import build_unet, dense_structure
from fedphd.common.run.json_lines import read_lines
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.wire.traffic import LANES
from fedphd.launch.cost.estimate import estimate
from fedphd.launch.export import Asked, export
from fedphd.launch.runtimes import inprocess
from fedphd.server.first_model import identified
from fedphd.server.trained import trained_model, trained_state

SMALL = [
    *("data.limit=200", "training.schedule=constant", "training.warmup_steps=0", "training.keep_optimizer=false"),
    *("training.lr=0.002", "sampler.steps=2", "evaluation.every=9", "evaluation.grid_images=1"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two rounds, and beside it, in diffusers' format, its first model and its last."""
    folder, config = tmp_path_factory.mktemp("trained"), of(rounds=2)
    fedphd.train(config, folder / "run")
    build_unet(config.model, config.seed).save_pretrained(folder / "first")  # type: ignore[operator]
    fedphd.load_model(folder / "run").save_pretrained(folder / "last")  # type: ignore[operator]
    return folder


def of(*overrides: str, rounds: int) -> Config:
    return small_config(*SMALL, f"rounds={rounds}", *overrides)


def final(run: fedphd.Run) -> str:
    return trained_state(run.path)[1].model.hash


def losses(run: fedphd.Run) -> list[float]:
    return [line["loss"] for line in run.metrics[1:]]


def resumed(run: Path, config: Config) -> fedphd.Run:
    return fedphd.train(
        config.model_copy(update={"checkpoint": config.checkpoint.model_copy(update={"resume": run})}), run
    )


def test_from_what_the_seed_would_have_drawn_it_is_the_same_run(trained: Path, tmp_path: Path) -> None:
    run = fedphd.train(of(f"model.init={trained / 'first'}", rounds=2), tmp_path / "run")
    assert final(run) == trained_state(trained / "run")[1].model.hash
    [start] = [line for line in read_lines(run.path / "ledger.jsonl") if line["event"] == "start"]
    assert start["init"] == run.config.model.init_hash is not None


def test_it_goes_on_at_the_loss_that_a_resumed_run_has(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "run", tmp_path / "run")
    goes_on = losses(resumed(tmp_path / "run", of(rounds=3)))[-1]
    for path in (trained / "run", trained / "last"):
        started = losses(fedphd.train(of(f"model.init={path}", rounds=1), tmp_path / f"from_{path.name}"))[0]
        assert started == pytest.approx(goes_on, rel=0.15)  # other times and noise are drawn
        assert started < 0.6 * losses(fedphd.read_run(trained / "run"))[0]


def test_another_method_and_topology_and_no_files_for_a_resumption(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "last", tmp_path / "given")
    other = ("method=scaffold", "topology=flat", "codec=int8", "topology.clients=3", f"model.init={tmp_path / 'given'}")
    run = fedphd.train(of(*other, rounds=1), tmp_path / "run")
    shutil.rmtree(tmp_path / "given")
    assert len(resumed(run.path, of(*other, rounds=2)).metrics) == 3
    with pytest.raises(SettingError, match=r"^model.init=null: the run to resume has"):
        resumed(run.path, of(*other[:-1], rounds=2))


@pytest.mark.parametrize("ratio", [None, 0.5])
def test_an_export_is_what_its_run_has_trained(tmp_path: Path, ratio: float | None) -> None:
    """... number by number, and so goes on at the same loss; also where plain diffusers reads other numbers."""
    run = write_run(tmp_path / "run", *TINY, ratio=ratio)
    export(Asked(run, tmp_path / "out", False, None))
    config, notes = identified(small_config(*TINY, f"model.init={tmp_path / 'out'}"))
    assert config.model.init_hash == trained_model(run)[1].hash
    assert len(notes) == (ratio is not None)
    of_run, _ = identified(small_config(*TINY, f"model.init={run}"))
    assert config.model.init_hash == of_run.model.init_hash


def test_a_model_that_does_not_fit_leaves_no_run_folder(trained: Path, tmp_path: Path) -> None:
    config = of(f"model.init={trained / 'last'}", "model.unet.norm_num_groups=4", rounds=1)
    with pytest.raises(
        SettingError, match=r"^model.init=.*set what it was made with: \+\+model.unet.norm_num_groups=8"
    ):
        fedphd.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def adapted(trained: Path) -> Config:
    """Train adapters beside the trained model."""
    return of("adapters=lora", f"model.init={trained / 'last'}", "training.lr=0.01", rounds=3)


@pytest.fixture(scope="module")
def adapted_run(adapted: Config, tmp_path_factory: pytest.TempPathFactory) -> fedphd.Run:
    """Run it."""
    return fedphd.train(adapted, tmp_path_factory.mktemp("lora") / "run")


class TestAdapters:
    def test_messages_have_the_adapters_alone(self, adapted_run: fedphd.Run, trained: Path) -> None:
        whole = fedphd.read_run(trained / "run").metrics[-1]
        for lane in LANES:
            assert 0 < adapted_run.metrics[2][f"{lane}_bytes"] <= 0.05 * whole[f"{lane}_bytes"]
        assert {line["parameters"] for line in adapted_run.metrics} == {16_384}

    def test_it_learns(self, adapted_run: fedphd.Run, trained: Path) -> None:
        """... measured by all weights' loss on the same noise."""
        before, after = (loss_of(fedphd.load_model(path)) for path in (trained / "run", adapted_run.path))
        assert after < 0.97 * before

    def test_it_costs_what_was_told(self, adapted_run: fedphd.Run, adapted: Config) -> None:
        told = estimate(adapted)
        for lane in LANES:
            assert adapted_run.metrics[-1][f"{lane}_bytes"] == told.lanes[lane].bytes
            assert told.unsaved[lane].parameters * 16_384 == told.lanes[lane].parameters * 701_345
        assert told.dense.macs == adapted_run.metrics[-1]["macs"]

    def test_a_resumed_run_is_the_same(self, adapted_run: fedphd.Run, adapted: Config, tmp_path: Path) -> None:
        shorter = fedphd.train(adapted.model_copy(update={"rounds": 1}), tmp_path / "run")
        assert final(resumed(shorter.path, adapted)) == final(adapted_run)

    def test_other_parts_go_with_them(self, trained: Path, tmp_path: Path) -> None:
        """An average, a codec with feedback, control variates, parts of one's own, and a correction at the root."""
        lora = ("adapters=lora", f"model.init={trained / 'last'}", "ema_decay=0.5")
        for name, *overrides in (
            ("scaffold", "method=scaffold", "codec=int8"),
            ("udec", "exchange=udec", "evaluation.every=1"),
            ("fedddpm", "method=fedddpm", "correction.images=8", "correction.local_epochs=1", "correction.steps=2"),
        ):
            run = fedphd.train(of(*lora, *overrides, rounds=1), tmp_path / name)
            assert np.isfinite(losses(run)[0])

    def test_a_client_with_other_weights_says_so(self, adapted: Config, trained: Path, tmp_path: Path) -> None:
        """As one whose folder holds another model: the run ends with one line when it registers."""
        other = adapted.model.model_copy(update={"init_hash": "f" * 64})
        with pytest.raises((RegistrationError, SettingError), match="has other weights here than the run was started"):
            inprocess.run(adapted.model_copy(update={"model": other}), tmp_path)

    def test_it_starts_another_run(self, adapted_run: fedphd.Run, tmp_path: Path) -> None:
        """... whose weights are those beside the adapters, and the adapters' part."""
        config = of(f"model.init={adapted_run.path}", rounds=1)
        started = fedphd.train(config, tmp_path / "run")
        assert trained_state(started.path)[1].model.structure == dense_structure(config.model)


def loss_of(unet: torch.nn.Module) -> float:
    """Mean squared error of the noise's prediction over all digits' times, on the same noise."""
    config = small_config("data.limit=200")
    images = load(config.data, "train", config.seed)
    x_0 = torch.from_numpy(images.images(np.arange(len(images.labels)))).float() / 127.5 - 1
    generator = torch.Generator().manual_seed(0)
    total = 0.0
    for _ in range(4):
        t = torch.randint(1000, (len(x_0),), generator=generator)
        epsilon = torch.randn(x_0.shape, generator=generator)
        with torch.no_grad():
            total += float(
                (unet(Diffusion(config.diffusion).add_noise(x_0, epsilon, t), t).sample - epsilon).square().mean()
            )
    return total / 4


def test_a_large_networks_messages() -> None:
    """FedPhD's U-Net for CIFAR-10, by the same count as the ledger's; no weights are needed to count."""
    overrides = ["model=fedphd_cifar10", "method=fedavg", "runtime=inprocess", "adapters=lora", "model.init=owner/unet"]
    data = ["data=digits", "model.unet.in_channels=1", "model.unet.out_channels=1", "model.unet.sample_size=8"]
    told = estimate(compose([*overrides, *data, "partition=iid"]))
    for lane in LANES:
        assert told.lanes[lane].bytes <= 0.05 * told.unsaved[lane].bytes

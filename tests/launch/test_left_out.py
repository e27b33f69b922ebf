"""Options that an experiment set for another choice than the one that was made."""

import hydra
import pytest
from omegaconf import OmegaConf

from fedphd.common.config import validate
from fedphd.launch.left_out import left_out


def notes(overrides: list[str]) -> list[str]:
    with hydra.initialize_config_module("fedphd.conf", version_base="1.3"):
        tree = OmegaConf.to_container(hydra.compose("config", overrides=overrides), resolve=True)
    assert isinstance(tree, dict)
    return left_out(tree, validate(tree))


def test_the_default_leaves_nothing_out() -> None:
    assert notes([]) == []


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["experiment=fedavg_cifar10", "partition=iid"], "partition.classes_per_client=2 has no effect with partition"),
        (["sampler=ddpm", "+sampler.eta=1"], "sampler.eta=1 has no effect with sampler=ddpm"),
        (["method=fedavg", "+weighting.root.a=3"], "weighting.root.a=3 has no effect with weighting.root=samples"),
    ],
)
def test_what_is_left_out_is_told(overrides: list[str], told: str) -> None:
    paths = ["++data.root=/data", "++evaluation.inception_weights=/weights"] if "experiment" in overrides[0] else []
    [note] = notes([*overrides, *paths])
    assert note.startswith(told)


def test_options_of_another_runtime_are_not_told_of() -> None:
    assert notes(["runtime=inprocess", "++runtime.gpus_per_client=1.0"]) == []

"""What the command tells before it starts: settings that are possible, and do nothing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedphd.common.config import compose
from fedphd.common.errors import SettingError
from fedphd.launch.preflight import check


def test_the_methods_as_they_are_have_nothing_to_tell() -> None:
    assert check(compose(["method=fedphd"])).notes == check(compose(["method=fedddpm"])).notes == []


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["method=fedphd", "pruning=none"], "objective.terms.group_sparsity has no effect with pruning=none"),
        (["method=fedphd", "pruning=at_start"], "has no effect with pruning=at_start"),
        (["method=fedphd_os", "evaluation.clients=averaged"], "evaluation.clients=averaged has no effect"),
        (
            ["method=fedphd", "assignment=random", "+assignment.a=7"],
            "assignment.a=7 has no effect with",
        ),
        (["method=fedphd", "assignment.a=10000"], "assignment.a=10000 counts in mean clients"),
        (["method=fedphd", "weighting.root.a=5000"], "weighting.root.a=5000 counts in mean clients"),
        (["partition.holdout=0.1"], "partition.holdout=0.1 only takes images from training"),
        (["method=fedddpm", "correction.images=9"], "correction.images=9 are fewer than topology.clients=10"),
    ],
)
def test_parts_that_do_nothing_are_told_of(overrides: list[str], told: str) -> None:
    [note] = check(compose(overrides)).notes
    assert told in note


def test_a_carried_choice_is_read_before_the_start() -> None:
    """The root alone has its class, but nobody should wait for the root to find a bad option."""
    config = compose(["method=fedphd", "assignment.a=-1"])
    with pytest.raises(SettingError, match=r"^assignment\.a=-1: .*greater than 0"):
        check(config)


def test_a_sampler_and_a_distance_that_cannot_work_are_found_before_the_start() -> None:
    with pytest.raises(SettingError, match=r"^sampler\.name=Euler: there is no such scheduler"):
        check(compose(["sampler=scheduler", "sampler.name=Euler"]))
    with pytest.raises(SettingError, match=r"^objective\.loss=.*: cannot be taken of each image"):
        check(compose(["diffusion.min_snr=5", "objective.loss=torch.nn.functional:cosine_similarity"]))


def test_held_out_images_that_are_missing_are_found_before_the_start(tmp_path: Path) -> None:
    """Each evaluation with an extractor reads them, also to tell what real images score."""
    folder = tmp_path / "church_outdoor_train"
    folder.mkdir()
    for number in range(40):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(folder / f"{number}.png")
    colour = ["model.unet.in_channels=3", "model.unet.out_channels=3"]
    churches = ["data=lsun_church", f"data.root={tmp_path}", "data.size=8", "partition=iid", *colour]
    with pytest.raises(SettingError, match=r"^data\.root=.*: must hold church_outdoor_val_lmdb"):
        check(compose(churches))
    assert check(compose([*churches, "evaluation=grid"])).notes == []


def test_too_few_real_images_are_found_before_the_start(tmp_path: Path) -> None:
    """Where the user holds none out, there is nothing to tell, unless they are the reference."""
    np.savez(tmp_path / "a.npz", train_x=np.zeros((60, 8, 8), np.uint8), train_y=np.arange(60) % 10)
    data = ["data=npz", f"data.path={tmp_path / 'a.npz'}", "partition=iid"]
    assert check(compose([*data, "data.holdout=0"])).notes == []
    holdout = [*data, "evaluation.reference=holdout"]
    with pytest.raises(SettingError, match=r"^evaluation\.reference=holdout: has 0 images"):
        check(compose([*holdout, "data.holdout=0"]))
    with pytest.raises(SettingError, match=r"^evaluation\.reference=holdout: has 3 images, and 4 are needed"):
        check(compose([*holdout, "data.holdout=0.05", "evaluation.measures=[precision_recall]"]))
    assert check(compose([*holdout, "data.holdout=0.05"])).notes == []


@pytest.mark.parametrize("setting", ["evaluation.own=true", "evaluation.memorisation=10"])
def test_clients_can_only_measure_with_images_that_they_hold_out(setting: str) -> None:
    with pytest.raises(SettingError) as caught:
        compose([setting])
    assert (
        str(caught.value).lower() == f"{setting}: needs images that the clients hold out; set partition.holdout "
        "too, as partition.holdout=0.1"
    )
    compose([setting, "partition.holdout=0.1"])


@pytest.mark.parametrize("setting", ["evaluation.own=true", "evaluation.memorisation=10"])
def test_a_run_that_has_begun_is_not_told_to_hold_images_out(setting: str) -> None:
    with pytest.raises(SettingError, match="a run that has begun cannot change that") as caught:
        compose([setting, "checkpoint.resume=/a/run"])
    assert "partition.holdout" not in str(caught.value)


def test_images_for_the_clients_to_compare_are_bounded_and_take_time() -> None:
    with pytest.raises(SettingError, match=r"^evaluation\.memorisation=10001: .*less than or equal to 10000$"):
        compose(["partition.holdout=0.1", "evaluation.memorisation=10001"])
    many = ["partition.holdout=0.1", "evaluation.memorisation=10000", "evaluation.final_images=1000"]
    [note] = check(compose([*many, "sampler.steps=1000", "runtime.device=cpu"])).notes
    assert note.startswith("an evaluation draws up to 11000 images in 1000 steps: ")
    assert "lower evaluation.images, evaluation.final_images, evaluation.memorisation or sampler.steps=1000" in note


def test_features_of_images_are_found_before_the_start() -> None:
    asking = ["partition.holdout=0.1", "evaluation.memorisation_features=pixles"]
    check(compose(asking))  # nobody uses them
    with pytest.raises(SettingError, match=r"^evaluation\.memorisation_features=pixles: .* did you mean pixels\?"):
        check(compose([*asking, "evaluation.memorisation=10"]))

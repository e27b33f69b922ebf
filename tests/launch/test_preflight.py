"""What the command tells before it starts: settings that are possible, and do nothing."""

import pytest

from fedphd.common.config import compose
from fedphd.common.errors import SettingError
from fedphd.launch.preflight import check


def test_the_methods_as_they_are_have_nothing_to_tell() -> None:
    assert check(compose(["method=fedphd"])) == check(compose(["method=fedddpm"])) == []


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
        (["method=fedddpm", "correction.images=9"], "correction.images=9 are fewer than topology.clients=10"),
    ],
)
def test_parts_that_do_nothing_are_told_of(overrides: list[str], told: str) -> None:
    [note] = check(compose(overrides))
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

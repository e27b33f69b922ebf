import pytest

from fedphd.common.run.figures import further, quality


@pytest.mark.parametrize("measure", ["fid", "fd_classifier", "fd_standing"])
@pytest.mark.parametrize("last", [False, True])
def test_quality_is_the_measure_and_not_what_stands_beside_it(measure: str, last: bool) -> None:
    beside = {f"{measure}_std": 1.0, f"{measure}_reference": 2.0, f"{measure}/client-3": 3.0, "is_std": 4.0}
    beside |= {f"{measure}_floor": 0.5, f"{measure}_floor_std": 0.1, "kid": 0.25, "kid_reference": 0.125}
    main = {measure: 24.5}
    line = {"round": 3, "loss": 0.5} | (beside | main if last else main | beside)
    assert quality(line) == (measure, 24.5)


def test_quality_of_a_round_that_was_not_measured() -> None:
    assert quality({"round": 3, "loss": 0.5, "fd_classifier_reference": 2.0, "fd_classifier/client-3": 3.0}) is None


def test_further_measures_stand_for_themselves() -> None:
    beside = {"fd_classifier_floor": 0.5, "kd_classifier_reference": 0.25, "is_std": 0.5, "class_share/3": 0.125}
    own = {"kd_classifier": 1.0, "recall_classifier": 0.75, "is_mean": 3.0}
    assert further({"fd_classifier": 24.5} | beside | own) == own
    assert further({}) == {}

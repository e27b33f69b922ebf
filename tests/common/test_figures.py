import pytest

from fedphd.common.run.figures import quality


@pytest.mark.parametrize("measure", ["fid", "fd_classifier", "fd_standing"])
@pytest.mark.parametrize("last", [False, True])
def test_quality_is_the_measure_and_not_what_stands_beside_it(measure: str, last: bool) -> None:
    beside = {f"{measure}_std": 1.0, f"{measure}_reference": 2.0, f"{measure}/client-3": 3.0, "is_std": 4.0}
    main = {measure: 24.5}
    line = {"round": 3, "loss": 0.5} | (beside | main if last else main | beside)
    assert quality(line) == (measure, 24.5)


def test_quality_of_a_round_that_was_not_measured() -> None:
    assert quality({"round": 3, "loss": 0.5, "fd_classifier_reference": 2.0, "fd_classifier/client-3": 3.0}) is None

import pytest
from helpers import exact, packed

from fedphd.common.averaging.weighting import HomogeneityWeighting, SamplesWeighting, Weighting
from fedphd.common.wire.messages import EdgeRound, EdgeUpdate
from fedphd.server.weighting import root_weight

BY_SAMPLES = SamplesWeighting(kind="samples")
BY_SCORE = HomogeneityWeighting(kind="homogeneity", a=200.0, b=0.0, unit="image")
MEAN = 50.0  # images of a client


def update(q: list[float], *samples: int) -> EdgeUpdate:
    rounds = [EdgeRound([f"client-{n}"] if n else [], n, 0.5 if n else None, 1.0) for n in samples]
    return EdgeUpdate(exact(packed(1.0)), "edge-0", 1, q, rounds)


UNIFORM, HALF = [0.25] * 4, [0.5, 0.5, 0.0, 0.0]  # SH = 2 and 1.5


def test_two_edges_by_hand() -> None:
    # u_0 = 100 + 200 * 2 = 500, u_1 = 300 + 200 * 1.5 = 600
    weights = [root_weight(BY_SCORE, update(UNIFORM, 100), MEAN), root_weight(BY_SCORE, update(HALF, 300), MEAN)]
    assert weights == [500.0, 600.0]
    assert [u / sum(weights) for u in weights] == pytest.approx([5 / 11, 6 / 11])
    assert [root_weight(BY_SAMPLES, one, MEAN) for one in (update(UNIFORM, 100), update(HALF, 300))] == [100.0, 300.0]


def test_homogeneity_takes_the_latest_edge_round_and_samples_take_all() -> None:
    assert root_weight(BY_SCORE, update(HALF, 300, 100), MEAN) == 400.0  # 100 + 300
    assert root_weight(BY_SAMPLES, update(HALF, 300, 100), MEAN) == 400.0
    assert root_weight(BY_SCORE, update(HALF, 300, 0), MEAN) == 600.0  # nobody came last: those before count
    assert root_weight(BY_SAMPLES, update(HALF, 300, 0), MEAN) == 300.0


def test_the_weight_is_cut_at_zero() -> None:
    shifted = HomogeneityWeighting(kind="homogeneity", a=200.0, b=-550.0, unit="image")
    assert root_weight(shifted, update(UNIFORM, 100), MEAN) == 0.0
    assert root_weight(shifted, update(HALF, 300), MEAN) == 50.0


@pytest.mark.parametrize("config", [BY_SAMPLES, BY_SCORE])
def test_an_edge_at_which_nobody_trained_weighs_nothing(config: Weighting) -> None:
    assert root_weight(config, update(UNIFORM, 0, 0), MEAN) == 0.0
    assert root_weight(config, update(UNIFORM), MEAN) == 0.0


def test_the_unit_is_a_client_unless_said_otherwise() -> None:
    in_clients = HomogeneityWeighting(kind="homogeneity", a=4.0, b=-1.0)
    assert root_weight(in_clients, update(HALF, 300), MEAN) == 550.0  # 300 + 50 * (4 * 1.5 - 1)

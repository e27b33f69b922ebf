"""FedPhD's draw, score and root weights against what the authors' own functions gave for random inputs."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import exact, packed

from fedphd.common.averaging.homogeneity import LabelState, homogeneity
from fedphd.common.averaging.weighting import HomogeneityWeighting
from fedphd.common.wire.messages import EdgeRound, EdgeUpdate
from fedphd.server.assignment import selection_probabilities
from fedphd.server.weighting import root_weight

CASES = json.loads((Path(__file__).parent / "golden" / "fedphd.json").read_text(encoding="utf-8"))
DRAW_A, MEAN = 10000.0, 2500.0  # a as it stands in their code, and the images of a client that it was made for


@pytest.mark.parametrize("case", CASES)
def test_the_draw(case: dict) -> None:
    states = [LabelState(np.array(q), n) for q, n in zip(case["edge_q"], case["edge_n"], strict=True)]
    p = selection_probabilities(states, np.array(case["client_q"]), case["client_n"], a=DRAW_A, b=0.0, count="before")
    np.testing.assert_allclose(p, case["select_p"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_score(case: dict) -> None:
    np.testing.assert_allclose([homogeneity(q) for q in case["edge_q"]], case["sh"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("unit", "scale"), [("image", 1.0), ("client", MEAN)])
@pytest.mark.parametrize("case", CASES)
def test_the_weights_at_the_root(case: dict, unit: str, scale: float) -> None:
    weighting = HomogeneityWeighting(kind="homogeneity", a=case["a"] / scale, unit=unit)
    weights = []
    for q, m in zip(case["edge_q"], case["edge_m"], strict=True):
        update = EdgeUpdate(exact(packed(1.0)), "edge-0", 1, q, [EdgeRound(["client-0"], m, 0.5, 1.0)])
        weights.append(root_weight(weighting, update, MEAN))
    np.testing.assert_allclose(np.array(weights) / sum(weights), case["root_w"], rtol=0, atol=1e-12)

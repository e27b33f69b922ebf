"""Averages through both tiers: whatever travels, equal clients give back their model, and weights sum to one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import SHARED, Crowd, events, three_parts
from hypothesis import given, settings
from hypothesis import strategies as st
from small_root import HOMES as HOMES_OF_TWO
from small_root import Run

from fedphd.common.wire.parts import restrict

START = three_parts([0.0, -3.0], [7.0], [1.0, 2.0, 8.0])  # whole numbers: what is added is exact
COUNTS = st.lists(st.integers(0, 1000).map(float), min_size=2, max_size=2).filter(any)
WEIGHTINGS = st.sampled_from(
    [
        (),
        ("weighting.root.kind=homogeneity", "+weighting.root.a=500"),
        (
            "weighting.root.kind=homogeneity",
            "+weighting.root.a=50",
            "+weighting.root.b=-60",
            "+weighting.root.unit=image",
        ),
    ]
)
HOMES = st.sampled_from(["[[0],[0],[0],[1]]", "[[0],[1],[0],[1]]", "[[0,1],[1],[0],[0,1]]"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return lambda: tmp_path_factory.mktemp("run")


@settings(deadline=None, max_examples=15)
@given(
    st.sampled_from(list(SHARED)),
    st.sampled_from(["float32", "int8", "int4"]),
    st.lists(COUNTS, min_size=4, max_size=4),
    HOMES,
    WEIGHTINGS,
    st.integers(1, 2),
    st.integers(-3, 3),
)
def test_equal_clients_give_back_their_model(
    folder: Callable[[], Path],
    kind: str,
    codec: str,
    counts: list[list[float]],
    homes: str,
    weighting: tuple[str, ...],
    edge_rounds: int,
    step: int,
) -> None:
    """All clients add the same number in an edge round, so the global model does, in the parts that travel."""
    overrides = (f"exchange={kind}", f"codec={codec}", f"topology.homes={homes}", f"topology.edge_rounds={edge_rounds}")
    run = Run(
        folder(),
        *overrides,
        *weighting,
        clients=Crowd(counts, [float(step)] * 4),
        start=START,
    )
    run.rounds(2)
    assert events(run.ledger, "refuse", "lost") == []
    expected, shared = dict(START.arrays()), restrict(START.structure, SHARED[kind])
    for name, array in run.state.model.arrays():
        steps = 2 * edge_rounds * step if name in shared.shapes else 0
        np.testing.assert_array_equal(array, expected[name] + np.float32(steps))


@settings(deadline=None, max_examples=15)
@given(st.lists(COUNTS, min_size=4, max_size=4), WEIGHTINGS)
def test_the_edges_weights_sum_to_one(
    folder: Callable[[], Path], counts: list[list[float]], weighting: tuple[str, ...]
) -> None:
    """... and are those of the new model: edge 0's clients add 1, edge 1's 5."""
    run = Run(folder(), HOMES_OF_TWO, *weighting, clients=Crowd(counts, [1.0, 1.0, 5.0, 5.0]), start=START)
    run.rounds(1)
    [commit] = events(run.ledger, "commit")
    weights = commit["weights"]
    assert sum(weights.values()) == pytest.approx(1.0, abs=2e-6)  # written with six digits each
    assert min(weights.values()) >= 0
    added = weights["edge-0"] * 1 + weights["edge-1"] * 5
    np.testing.assert_allclose(run.state.model.vector, START.vector + np.float32(added), atol=1e-5)

"""The weights of an edge's average, read off its result: they sum to one, in each part over those who reported it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import SHARED, exchange_of
from hypothesis import given, settings
from hypothesis import strategies as st

from fedphd.common.averaging.homogeneity import distribution
from fedphd.common.averaging.weighting import HomogeneityWeighting, SamplesWeighting, Weighting
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.wire.parts import PARTS, restrict
from fedphd.edge.parts_average import PartsAverage

PREFIX = dict(zip(PARTS, ("conv_in", "mid_block", "conv_out"), strict=True))
COUNTS = st.lists(st.integers(0, 10**5), min_size=3, max_size=3).filter(any)  # images of each class
WEIGHTINGS = st.one_of(
    st.just(SamplesWeighting(kind="samples")),
    st.builds(
        HomogeneityWeighting,
        kind=st.just("homogeneity"),
        a=st.floats(0, 1e5),
        b=st.floats(0, 1e4),
        unit=st.sampled_from(["client", "image"]),
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return lambda: tmp_path_factory.mktemp("spool")


def indicator(structure: Structure, member: int) -> PackedModel:
    """Make a network whose tensors are 1 at the member's place and 0 elsewhere: an average of them is the weights."""
    arrays = np.zeros((len(structure.tensors), structure.tensors[0][1][0]), np.float32)
    arrays[:, member] = 1.0
    return PackedModel(structure, arrays.ravel())


@settings(deadline=None)
@given(
    st.sampled_from(list(SHARED)),
    WEIGHTINGS,
    st.lists(COUNTS, min_size=1, max_size=8),
    st.integers(0, 2**31),
    st.data(),
)
def test_weights_sum_to_one(
    folder: Callable[[], Path],
    kind: str,
    weighting: Weighting,
    counts: list[list[int]],
    seed: int,
    data: st.DataObject,
) -> None:
    clients = [f"client-{member}" for member in range(len(counts))]
    came = data.draw(st.permutations(clients))[: data.draw(st.integers(1, len(clients)))]
    mean = sum(map(sum, counts)) / len(counts)
    weights = {
        client: weighting.weight(sum(own), distribution(own), mean) for client, own in zip(clients, counts, strict=True)
    }
    asked = exchange_of(kind).reports(clients, seed, "edge-0", 7)
    structure = Structure(tuple((f"{PREFIX[part]}.weight", (len(clients),)) for part in PARTS))
    nothing = PackedModel(structure, np.full(structure.size, -1.0, np.float32))
    with PartsAverage(exchange_of(kind), asked, folder()) as average:
        for client in came:
            sent = indicator(restrict(structure, asked[client]), clients.index(client))
            average.add(client, sent, weights[client])
        result = dict(average.result(nothing).arrays())
    for part in PARTS:
        own = result[f"{PREFIX[part]}.weight"]
        counted = [client for client in came if part in asked[client]]
        if not counted:
            assert (own == -1.0).all()  # as it was before
            continue
        assert own.sum(dtype=np.float64) == pytest.approx(1.0, abs=1e-6)
        total = sum(weights[client] for client in counted)
        shares = [weights[client] / total if client in counted else 0.0 for client in clients]
        np.testing.assert_allclose(own, shares, rtol=1e-6)

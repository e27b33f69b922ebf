"""Averages of what clients report, part by part, with numbers by hand."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from helpers import exchange_of, three_parts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_edge import files

from fedphd.common.averaging.aggregation import WeightError
from fedphd.common.network.packing import PackedModel
from fedphd.common.wire.parts import PARTS, Parts, restrict
from fedphd.edge.parts_average import PartsAverage

ENCODER, BOTTLENECK, DECODER = (part for part in PARTS)
BEFORE = three_parts([1.0], [2.0], [3.0])
STRUCTURE = BEFORE.structure


def reported(parts: Parts, *numbers: float) -> PackedModel:
    return PackedModel(restrict(STRUCTURE, parts), np.array(numbers, np.float32))


def average(
    folder: Path, kind: str, asked: Mapping[str, Parts], came: Mapping[str, tuple[float, list[float]]]
) -> list[float]:
    """Average what came: by client its weight and numbers."""
    with PartsAverage(exchange_of(kind), asked, folder) as parts:
        for client, (weight, numbers) in came.items():
            parts.add(client, reported(asked[client], *numbers), weight)
        return [float(number) for number in parts.result(BEFORE).vector]


def test_all_parts_together(tmp_path: Path) -> None:
    asked = {"a": PARTS, "b": PARTS}
    # (1 * 0 + 3 * 4) / 4, (1 * 8 + 3 * 0) / 4, (1 * 1 + 3 * 1) / 4
    assert average(tmp_path, "full", asked, {"a": (1, [0, 8, 1]), "b": (3, [4, 0, 1])}) == [3.0, 2.0, 1.0]


def test_what_never_travels_stays(tmp_path: Path) -> None:
    # (1 * 8 + 3 * 0) / 4, (1 * 1 + 3 * 5) / 4
    asked = dict.fromkeys("ab", (BOTTLENECK, DECODER))
    assert average(tmp_path, "ulatdec", asked, {"a": (1, [8, 1]), "b": (3, [0, 5])}) == [1.0, 2.0, 4.0]
    asked = dict.fromkeys("ab", (DECODER,))
    assert average(tmp_path, "udec", asked, {"a": (1, [1]), "b": (3, [5])}) == [1.0, 2.0, 4.0]


SPLIT: dict[str, Parts] = {
    "a": (ENCODER, BOTTLENECK),
    "b": (DECODER,),
    "c": (ENCODER,),
    "d": (BOTTLENECK, DECODER),
}


def test_each_part_is_averaged_over_those_who_reported_it(tmp_path: Path) -> None:
    came = {"a": (1.0, [10.0, 20.0]), "b": (2.0, [30.0]), "c": (3.0, [50.0]), "d": (3.0, [40.0, 60.0])}
    # Encoder (1 * 10 + 3 * 50) / 4; bottleneck (1 * 20 + 3 * 40) / 4; decoder (2 * 30 + 3 * 60) / 5.
    assert average(tmp_path, "usplit", SPLIT, came) == [40.0, 35.0, 48.0]


def test_a_part_that_nobody_reported_stays(tmp_path: Path) -> None:
    assert average(tmp_path, "usplit", SPLIT, {"b": (2.0, [30.0])}) == [1.0, 2.0, 30.0]
    assert average(tmp_path, "usplit", SPLIT, {"a": (1.0, [10.0, 20.0]), "c": (3.0, [50.0])}) == [40.0, 20.0, 3.0]
    assert average(tmp_path, "usplit", SPLIT, {}) == [1.0, 2.0, 3.0]


def test_whoever_comes_first(tmp_path: Path) -> None:
    """In float64 (1 + 1e17) - 1e17 is 0, but (1e17 - 1e17) + 1 is 1: each part's sum runs in the order of the plan."""
    asked = {"a": (ENCODER, BOTTLENECK), "b": (ENCODER,), "c": (BOTTLENECK, DECODER), "d": PARTS}
    numbers = {"a": [1.0, 1.0], "b": [1e17], "c": [1e17, 1.0], "d": [-1e17, -1e17, 5.0]}
    for order in ("abcd", "dcba", "bdac"):
        came = {client: (1.0, numbers[client]) for client in order}
        assert average(tmp_path, "usplit", asked, came) == [0.0, 0.0, 3.0]
    assert files(tmp_path) == []


def test_members_without_weight(tmp_path: Path) -> None:
    with pytest.raises(WeightError):
        average(tmp_path, "usplit", SPLIT, {"b": (0.0, [30.0])})


def test_a_client_counts_once_and_only_if_it_was_asked(tmp_path: Path) -> None:
    with PartsAverage(exchange_of("usplit"), SPLIT, tmp_path) as parts:
        parts.add("b", reported((DECODER,), 30.0), 1.0)
        for client in ("b", "e"):
            with pytest.raises(KeyError):
                parts.add(client, reported((DECODER,), 30.0), 1.0)


def test_nothing_is_left_of_an_average_that_was_given_up(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no disk"), PartsAverage(exchange_of("usplit"), SPLIT, tmp_path) as parts:
        parts.add("d", reported(SPLIT["d"], 1.0, 2.0), 1.0)  # before a and b
        assert len(files(tmp_path)) == 2
        raise OSError("no disk")
    assert files(tmp_path) == []


# --- sums -------------------------------------------------------------------------------------------


def test_sums_of_changes(tmp_path: Path) -> None:
    with PartsAverage(exchange_of("usplit"), SPLIT, tmp_path) as parts:
        assert parts.sum(STRUCTURE) is None
        parts.add("a", reported(SPLIT["a"], 1.0, 2.0), 1.0)
        parts.add("c", reported(SPLIT["c"], 4.0), 1.0)
        total = parts.sum(STRUCTURE)
    assert total is not None
    assert total.vector.tolist() == [5.0, 2.0, 0.0]  # what nobody gave is zero


def test_a_sum_is_of_what_travels(tmp_path: Path) -> None:
    shared = restrict(STRUCTURE, (DECODER,))
    with PartsAverage(exchange_of("udec"), {"a": (DECODER,)}, tmp_path) as parts:
        parts.add("a", reported((DECODER,), 4.0), 1.0)
        total = parts.sum(shared)
    assert total is not None
    assert (total.structure, total.vector.tolist()) == (shared, [4.0])


# --- properties -------------------------------------------------------------------------------------

KINDS = ["full", "usplit", "ulatdec", "udec"]
NUMBERS = st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=7, max_size=7)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(KINDS), st.lists(st.integers(1, 10**6), min_size=1, max_size=7), st.integers(0, 10**6), NUMBERS)
def test_identical_clients_give_back_the_client(
    tmp_path: Path, kind: str, weights: list[int], seed: int, numbers: list[float]
) -> None:
    """Bit for bit, in every mode; a single client, or a pair that reports all parts between them, as well."""
    clients = [f"client-{number}" for number in range(len(weights))]
    before = three_parts([0.0] * 3, [0.0], [0.0] * 3)
    client = PackedModel(before.structure, np.array(numbers, np.float32))
    asked = exchange_of(kind).reports(clients, seed, "edge-0", 0)
    with PartsAverage(exchange_of(kind), asked, tmp_path) as parts:
        for name, weight in zip(clients, weights, strict=True):
            parts.add(name, client.select(restrict(before.structure, asked[name])), weight)
        result = parts.result(before)
    covered = restrict(before.structure, tuple(part for part in PARTS if any(part in one for one in asked.values())))
    assert result.select(covered).hash == client.select(covered).hash
    untouched = {name: array for name, array in result.arrays() if name not in covered.shapes}
    assert not any(array.any() for array in untouched.values())
    assert set(untouched) == set(before.structure.shapes) - set(covered.shapes)

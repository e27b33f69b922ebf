import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import profile
from hypothesis import given, settings
from hypothesis import strategies as st

from fedphd import conf
from fedphd.common.averaging.homogeneity import LabelState
from fedphd.common.config import TopologyConfig, compose
from fedphd.common.config.topology import client_id, edge_id
from fedphd.common.errors import SettingError
from fedphd.server.assignment import (
    ASSIGNMENTS,
    Assignment,
    AssignmentRule,
    HomogeneityAssignment,
    RandomAssignment,
    plan_round,
    selection_probabilities,
)
from fedphd.server.registry import Registry

OPTIONS = {"homogeneity": {"a": 10.0, "b": 0.0, "unit": "image", "count": "before"}}
KINDS: dict[str, AssignmentRule] = {
    kind: ASSIGNMENTS.read({"kind": kind, **OPTIONS.get(kind, {})})
    for kind in ("fixed", "random", "homogeneity", "balanced")
}


def topology(clients: int, edges: int, edge_rounds: int = 2, participation: float = 1.0) -> TopologyConfig:
    return TopologyConfig(
        clients=clients,
        edges=edges,
        edge_rounds=edge_rounds,
        participation=participation,
        homes=None,
        quorum=1.0,
        round_timeout=1.0,
        rejoin_timeout=0.0,
    )


def registry(counts: list[list[float]], homes: list[list[int]], edges: int) -> Registry:
    return Registry(
        nodes={edge_id(e): e + 1 for e in range(edges)},
        profiles={client_id(i): profile(i, own) for i, own in enumerate(counts)},
        homes={client_id(i): [edge_id(e) for e in own] for i, own in enumerate(homes)},
    )


def crowd(clients: int, edges: int) -> Registry:
    """Clients with ten images of one of two classes, which reach every edge."""
    counts = [[10.0, 0.0] if i % 2 else [0.0, 10.0] for i in range(clients)]
    return registry(counts, [list(range(edges))] * clients, edges)


# --- the draw, by hand ------------------------------------------------------------------------------
# Edge 0 has 100 images of classes 0 and 1, edge 1 none yet; client k has 100 of classes 2 and 3.
# With k, edge 0 is uniform (SH = 2) and has 200 images, edge 1 has k's labels (SH = 1.5) and 100.
STATES = [LabelState(np.array([0.5, 0.5, 0.0, 0.0]), 100), LabelState.initial(4)]
Q_K = np.array([0.0, 0.0, 0.5, 0.5])


@pytest.mark.parametrize(
    ("a", "b", "count", "expected"),
    [
        (400, 0, "before", [7 / 13, 6 / 13]),  # 800 - 100 = 700; 600 - 0 = 600
        (400, 0, "merged", [6 / 11, 5 / 11]),  # 800 - 200 = 600; 600 - 100 = 500
        (400, 100, "before", [8 / 15, 7 / 15]),
        (100, 0, "before", [0.4, 0.6]),  # 200 - 100 = 100; 150 - 0 = 150
        (100, 0, "merged", [0.0, 1.0]),  # 200 - 200 = 0; 150 - 100 = 50
        (400, -900, "before", [0.5, 0.5]),  # both below zero: only the floor is left
        (400, -900, "merged", [0.5, 0.5]),
    ],
)
def test_draw_probabilities(a: float, b: float, count: str, expected: list[float]) -> None:
    p = selection_probabilities(STATES, Q_K, 100, a=a, b=b, count=count)
    np.testing.assert_allclose(p, expected, atol=1e-9)


def test_the_floor_keeps_every_edge_possible() -> None:
    p = selection_probabilities(STATES, Q_K, 100, a=100, b=0, count="merged")
    assert p[0] == pytest.approx(1e-8 / (50 + 2e-8))


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 500), min_size=3, max_size=3)), min_size=1, max_size=5),
    st.floats(0.1, 1e5),
    st.floats(-1e5, 1e5),
    st.sampled_from(["before", "merged"]),
)
def test_probabilities_are_positive_and_sum_to_one(edges: list, a: float, b: float, count: str) -> None:
    states = [LabelState.initial(3).add(np.array(c) / max(sum(c), 1), sum(c)) for (c,) in edges]
    p = selection_probabilities(states, np.array([1.0, 0.0, 0.0]), 10, a=a, b=b, count=count)
    assert (p > 0).all()
    assert p.sum() == pytest.approx(1.0)


# --- the plan ---------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(list(KINDS)), st.integers(1, 4), st.floats(0.01, 1.0))
def test_each_participant_trains_once_and_at_home(data: st.DataObject, kind: str, edges: int, share: float) -> None:
    any_homes = st.lists(st.integers(0, edges - 1), min_size=1, max_size=edges, unique=True)
    homes = data.draw(st.lists(any_homes, min_size=1, max_size=8))
    counts = data.draw(
        st.lists(st.lists(st.integers(0, 50), min_size=2, max_size=2), min_size=len(homes), max_size=len(homes))
    )
    who = registry([[float(n) for n in own] for own in counts], homes, edges)
    plan = plan_round(KINDS[kind], topology(len(homes), edges, 3, share), who, 6, data.draw(st.integers(0, 2**32)))
    assert len(plan) == 3
    for assignment in plan:
        assert list(assignment) == list(who.nodes)
        trained = Counter(client for clients in assignment.values() for client in clients)
        assert set(trained.values()) == {1}
        assert len(trained) == max(1, round(share * len(homes)))
        assert all(edge in who.homes[client] for edge, clients in assignment.items() for client in clients)


@pytest.mark.parametrize(("share", "number"), [(0.01, 1), (0.2, 2), (0.25, 2), (0.5, 5), (1.0, 10)])
def test_number_of_participants(share: float, number: int) -> None:
    plan = plan_round(KINDS["random"], topology(10, 2, 1, share), crowd(10, 2), 0, seed=0)
    assert sum(len(clients) for clients in plan[0].values()) == number


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_is_a_function_of_its_arguments(kind: str) -> None:
    """... and neither reads nor moves the global random states."""

    def draw(seed: int) -> list[Assignment]:
        return plan_round(KINDS[kind], topology(6, 3, 2, 0.5), crowd(6, 3), 4, seed)

    plans, states = [], []
    for elsewhere in (1, 2):
        random.seed(elsewhere)
        np.random.seed(elsewhere)
        torch.manual_seed(elsewhere)
        before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
        plans.append(draw(seed=7))
        states.append(before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()))
    assert plans[0] == plans[1]
    assert states == [True, True]
    assert any(draw(seed) != plans[0] for seed in range(5))


def test_edge_rounds_draw_from_streams_of_their_own() -> None:
    """The plan of one edge round does not depend on how edge rounds are grouped into root rounds."""
    who = crowd(8, 2)
    grouped = plan_round(KINDS["random"], topology(8, 2, 4), who, 0, seed=3)
    single = [plan_round(KINDS["random"], topology(8, 2, 1), who, r, seed=3)[0] for r in range(4)]
    assert grouped == single
    assert any(a != b for a, b in pairwise(grouped))


def test_fixed_means_the_first_home() -> None:
    who = registry([[1.0], [1.0], [1.0]], [[1, 0], [0, 1], [1]], 2)
    plan = plan_round(KINDS["fixed"], topology(3, 2, 2), who, 0, seed=0)
    assert plan == [{"edge-0": ["client-1"], "edge-1": ["client-0", "client-2"]}] * 2


# With a = 1 an edge that has any of the ten-image clients scores SH - n < 0, so that only the floor
# is left, and an empty one scores above 1: the next client takes the empty one with certainty.
GREEDY = HomogeneityAssignment(kind="homogeneity", a=1.0, b=0.0, unit="image", count="before")


def crowded_edge(assignment: Assignment) -> str | None:
    """The edge that has all four clients, if one has."""
    return next((edge for edge, clients in assignment.items() if len(clients) == 4), None)


def test_all_participants_choose_against_the_same_states() -> None:
    # If the first client's choice were counted before the second's, the second would take the other edge.
    plans = [plan_round(GREEDY, topology(4, 2, 1), crowd(4, 2), 0, seed) for seed in range(64)]
    assert any(crowded_edge(plan[0]) for plan in plans)  # by chance one in eight


def test_states_take_in_who_came_and_start_anew_in_each_root_round() -> None:
    who, two, one = crowd(4, 2), topology(4, 2, 2), topology(4, 2, 1)
    seen = 0
    for seed in range(64):
        first, second = plan_round(GREEDY, two, who, 0, seed)
        crowded = crowded_edge(first)
        if crowded:
            seen += 1
            other = next(edge for edge in who.nodes if edge != crowded)
            assert crowded_edge(second) == other
        # The third edge round opens the next root round: it is drawn as if none had been before.
        assert plan_round(GREEDY, two, who, 2, seed)[0] == plan_round(GREEDY, one, who, 2, seed)[0]
    assert seen > 0
    seconds = [
        (plan_round(GREEDY, two, who, 0, seed)[1], plan_round(GREEDY, one, who, 1, seed)[0]) for seed in range(16)
    ]
    assert any(inside != opening for inside, opening in seconds)


def test_the_draw_uses_a_clients_homes_only() -> None:
    # Edge 1 would score far higher, but client 0 cannot reach it.
    who = registry([[10.0, 0.0], [0.0, 10.0]], [[0], [0, 1]], 2)
    for seed in range(20):
        for assignment in plan_round(GREEDY, topology(2, 2, 3), who, 0, seed):
            assert "client-0" in assignment["edge-0"]


def test_the_unit_scales_a_and_b() -> None:
    """... so that the plan does not depend on how many images make up a client, and an image is the authors' form."""
    options = {"kind": "homogeneity", "count": "before"}
    in_clients = ASSIGNMENTS.read({**options, "a": 2.0, "b": 0.5, "unit": "client"})
    in_images = ASSIGNMENTS.read({**options, "a": 20.0, "b": 5.0, "unit": "image"})
    others = ASSIGNMENTS.read({**options, "a": 2.0, "b": 0.5, "unit": "image"})
    small, where = crowd(12, 2), topology(12, 2, 4, 0.5)  # ten images each
    large = registry([[7 * n for n in small.profiles[client].counts] for client in small.profiles], [[0, 1]] * 12, 2)
    plans = [plan_round(in_clients, where, small, 0, seed) for seed in range(8)]
    assert plans == [plan_round(in_images, where, small, 0, seed) for seed in range(8)]
    assert plans == [plan_round(in_clients, where, large, 0, seed) for seed in range(8)]
    assert plans != [plan_round(others, where, small, 0, seed) for seed in range(8)]


def test_options_that_an_experiment_set_for_the_draw_do_not_stand_in_the_way_of_another_choice() -> None:
    carried = compose(["experiment=fedphd_cifar10", "data=digits", "assignment=random"]).assignment
    assert isinstance(ASSIGNMENTS.read(carried), RandomAssignment)


@pytest.mark.parametrize(
    ("option", "value", "advice"),
    [
        ("a", -1, "greater than 0"),
        ("more", 1, "no such option; it has a, b, count, unit"),
        ("count", "after", "'before' or"),
    ],
)
def test_options_of_an_assignment(option: str, value: object, advice: str) -> None:
    carried = compose(["assignment=homogeneity"]).assignment.model_copy(update={option: value})
    with pytest.raises(SettingError, match=rf"^assignment\.{option}={value}: .*{advice}"):
        ASSIGNMENTS.read(carried)


def test_all_assignments_have_a_file_of_settings() -> None:
    assert {file.stem for file in (Path(conf.__file__).parent / "assignment").glob("*.yaml")} == set(ASSIGNMENTS.kinds)

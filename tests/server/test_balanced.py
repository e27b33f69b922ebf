"""`assignment=balanced`: what it makes equal, how near the best it comes, and SH(q_e) beside the draws."""

from collections.abc import Sequence
from itertools import product
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_assignment import crowd, registry, topology

from fedphd.common.averaging.homogeneity import LabelState, homogeneity
from fedphd.common.config import compose
from fedphd.launch.cost.profiles import registry as registry_of
from fedphd.server.assignment import ASSIGNMENTS, plan_round
from fedphd.server.assignment.even_shares import even_shares

BALANCED = ASSIGNMENTS.read({"kind": "balanced"})


def unevenness(held: np.ndarray, images: np.ndarray, places: Sequence[int]) -> float:
    """Sum over edges of ||C_e - T/E||^2 + (n_e - N/E)^2, by hand."""
    counts = held.copy()
    for client, edge in enumerate(places):
        counts[edge] += images[client]
    per_class, all_classes = counts - counts.mean(axis=0), counts.sum(axis=1) - counts.sum() / len(counts)
    return float((per_class**2).sum() + (all_classes**2).sum())


def test_clients_that_complete_each_other_meet() -> None:
    plan = plan_round(BALANCED, topology(4, 2, 3), crowd(4, 2), 0, seed=0)
    for assignment in plan:
        for clients in assignment.values():
            assert sorted(int(client[-1]) % 2 for client in clients) == [0, 1]  # one of each class


def test_what_an_edge_trained_on_before_counts() -> None:
    # Edge 0 holds 20 images of class 0, edge 1 as many of class 1: each gets the client with the other class.
    held, images = np.diag([20.0, 20.0]), np.diag([20.0, 20.0])
    for seed in range(8):
        places = even_shares(held, images, np.ones((2, 2), bool), np.random.default_rng(seed))
        assert places.tolist() == [1, 0]


def test_a_client_goes_where_it_can() -> None:
    who = registry([[10.0, 0.0], [10.0, 0.0], [0.0, 10.0]], [[0], [0], [0, 1]], 2)
    [assignment] = plan_round(BALANCED, topology(3, 2, 1), who, 0, seed=0)
    assert assignment == {"edge-0": ["client-0", "client-1"], "edge-1": ["client-2"]}


@settings(deadline=None, max_examples=40)
@given(st.data(), st.integers(1, 3), st.integers(1, 6), st.integers(0, 2**31))
def test_everybody_is_placed_at_home_and_the_same_way_again(
    data: st.DataObject, edges: int, clients: int, seed: int
) -> None:
    numbers = st.lists(st.floats(0, 200), min_size=4, max_size=4)
    held = np.array(data.draw(st.lists(numbers, min_size=edges, max_size=edges)))
    images = np.array(data.draw(st.lists(numbers, min_size=clients, max_size=clients)))
    homes = st.lists(st.booleans(), min_size=edges, max_size=edges).filter(any)
    reach = np.array(data.draw(st.lists(homes, min_size=clients, max_size=clients)))
    places = even_shares(held, images, reach, np.random.default_rng(seed))
    assert all(reach[client, edge] for client, edge in enumerate(places))
    assert places.tolist() == even_shares(held, images, reach, np.random.default_rng(seed)).tolist()


def test_it_is_nearly_the_best_on_average() -> None:
    rng, left = np.random.default_rng(0), []
    for seed in range(60):
        images = np.zeros((6, 10))
        for own in images:
            own[rng.choice(10, 2, replace=False)] = rng.integers(20, 100, 2)
        held = rng.integers(0, 60, (2, 10)).astype(float)
        places = even_shares(held, images, np.ones((6, 2), bool), np.random.default_rng(seed))
        possible = [unevenness(held, images, every) for every in product(range(2), repeat=6)]
        left.append((unevenness(held, images, places.tolist()) - min(possible)) / (fmean(possible) - min(possible)))
    assert fmean(left) < 0.03  # of the way from a random placement to the best


def test_counts_with_noise_are_placed_too() -> None:
    who = registry([[10.3, 0.0], [0.0, 9.8], [0.0, 0.0], [4.6, 5.5]], [[0, 1]] * 4, 2)
    [assignment] = plan_round(BALANCED, topology(4, 2, 1), who, 0, seed=0)
    assert sorted(client for clients in assignment.values() for client in clients) == list(who.profiles)


# --- homogeneity over a root round, beside the draws -------------------------------------------------

TWENTY = ("topology.clients=20", "topology.edge_rounds=5", "topology.participation=0.2")
ROUNDS = 300


def mean_score(choice: str, *overrides: str) -> float:
    """Mean SH(q_e) over root rounds and the edges at which somebody trained; no training is needed for it."""
    config = compose(["method=fedphd", f"assignment={choice}", *overrides])
    known, rule, scores = registry_of(config), ASSIGNMENTS.read(config.assignment), []
    for first in range(0, ROUNDS * config.topology.edge_rounds, config.topology.edge_rounds):
        states = {edge: LabelState.initial(len(known.classes)) for edge in known.nodes}
        for assignment in plan_round(rule, config.topology, known, first, config.seed):
            for edge, clients in assignment.items():
                for client in clients:
                    states[edge] = states[edge].add(known.distribution(client), known.profiles[client].samples)
        scores += [homogeneity(state.q) for state in states.values() if state.n]
    return fmean(scores)


@pytest.mark.parametrize(
    ("overrides", "draw_gains", "balanced_gains"),
    [((), 0.015, 0.08), (("assignment.a=4",), 0.003, 0.08), ((*TWENTY, "assignment.a=4"), 0.008, 0.045)],
    ids=["default", "default with a=4", "20 clients"],
)
def test_the_draw_beats_chance_and_balanced_beats_both(
    overrides: tuple[str, ...], draw_gains: float, balanced_gains: float
) -> None:
    rest = [one for one in overrides if not one.startswith("assignment.")]
    chance = mean_score("random", *rest)
    assert mean_score("homogeneity", *overrides) >= chance + draw_gains
    assert mean_score("balanced", *rest) >= chance + balanced_gains

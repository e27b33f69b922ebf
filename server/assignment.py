"""The plan of a root round: which client trains at which edge in which edge round.

The plan depends on label histograms and the seed, never on weights, so the root draws it whole
before the round begins.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fedphd.common.averaging.homogeneity import Distribution, LabelState, homogeneity
from fedphd.common.config import AssignmentConfig, TopologyConfig
from fedphd.common.training.seeding import numpy_rng
from fedphd.server.registry import Registry

Assignment = dict[str, list[str]]  # edge -> its clients in one edge round
FLOOR = 1e-8  # keeps every edge possible

Choose = Callable[[str, dict[str, LabelState], np.random.Generator], str]


def plan_round(
    config: AssignmentConfig, topology: TopologyConfig, registry: Registry, first_edge_round: int, seed: int
) -> list[Assignment]:
    """Draw the plan of one root round.

    As in FedPhD's authors' code, all participants of an edge round choose against the same edge
    states; the states then take in who came, and start anew with the next root round.

    Parameters
    ----------
    config : AssignmentConfig
        How a client comes to its edge.
    topology : TopologyConfig
        Participation and edge rounds per root round (r_g).
    registry : Registry
        Clients, their label distributions and homes.
    first_edge_round : int
        Number of edge rounds before this root round; names the random streams.
    seed : int
        The run's seed.

    Returns
    -------
    list[Assignment]
        For each edge round: every edge with its clients, in the order of the registry.
    """
    choose = _chooser(config, registry)
    states = {edge: LabelState.initial(len(registry.classes)) for edge in registry.nodes}
    plan = []
    for edge_round in range(first_edge_round, first_edge_round + topology.edge_rounds):
        rng = numpy_rng(seed, "assignment", edge_round)
        assignment: Assignment = {edge: [] for edge in registry.nodes}
        for client in _participants(list(registry.profiles), topology.participation, rng):
            assignment[choose(client, states, rng)].append(client)
        for edge, clients in assignment.items():
            for client in clients:
                states[edge] = states[edge].add(registry.distribution(client), registry.profiles[client].samples)
        plan.append(assignment)
    return plan


def final_rounds(plan: Sequence[Assignment]) -> list[Assignment]:
    """Keep of a root round's plan, for each client, the last edge round that it trains in."""
    last = {
        client: number
        for number, assignment in enumerate(plan)
        for clients in assignment.values()
        for client in clients
    }
    return [
        {edge: [client for client in clients if last[client] == number] for edge, clients in assignment.items()}
        for number, assignment in enumerate(plan)
    ]


def selection_probabilities(
    states: Sequence[LabelState], q_k: Distribution, n_k: float, *, a: float, b: float, count: str
) -> NDArray[np.float64]:
    """Probabilities with which FedPhD's client k chooses each edge.

    For each edge e, with q'_e its distribution after adding the client's images:
    v_e = ReLU(a * SH(q'_e) - n_e + b) + 1e-8 and P(e) = v_e / sum v. From the authors' code, where
    a = 10000 and b = 0; whether the paper counts n_e before or after adding the client is not known,
    so it is an option.

    Parameters
    ----------
    states : Sequence[LabelState]
        (q_e, n_e) of each edge.
    q_k, n_k : Distribution, float
        The client's label distribution, shape (classes,), and number of images.
    a, b : float
        Weight of homogeneity against images, and offset.
    count : str
        "before": n_e without the client; "merged": with it.

    Returns
    -------
    NDArray[float64]
        Shape (edges,), summing to one.
    """
    merged = [state.add(q_k, n_k) for state in states]
    n = [state.n for state in (merged if count == "merged" else states)]
    s = [homogeneity(state.q) for state in merged]
    v = np.maximum(a * np.array(s) - np.array(n) + b, 0.0) + FLOOR
    return v / v.sum()  # type: ignore[no-any-return]


def _participants(clients: list[str], participation: float, rng: np.random.Generator) -> list[str]:
    """Draw max(1, round(C * N)) clients without replacement, in the order of the registry."""
    number = max(1, round(participation * len(clients)))
    return [clients[i] for i in sorted(rng.choice(len(clients), number, replace=False))]


def _chooser(config: AssignmentConfig, registry: Registry) -> Choose:
    def fixed(client: str, _states: dict[str, LabelState], _rng: np.random.Generator) -> str:
        return registry.homes[client][0]

    def random(client: str, _states: dict[str, LabelState], rng: np.random.Generator) -> str:
        return str(rng.choice(registry.homes[client]))

    def by_homogeneity(client: str, states: dict[str, LabelState], rng: np.random.Generator) -> str:
        homes = registry.homes[client]
        assert config.kind == "homogeneity"
        p = selection_probabilities(
            [states[edge] for edge in homes],
            registry.distribution(client),
            registry.profiles[client].samples,
            a=config.a,
            b=config.b,
            count=config.count,
        )
        return str(rng.choice(homes, p=p))

    return {"fixed": fixed, "random": random, "homogeneity": by_homogeneity}[config.kind]

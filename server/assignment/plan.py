"""The plan of a root round: which client trains at which edge in which edge round.

The plan depends on label histograms and the seed, never on weights, so the root draws it whole
before the round begins.
"""

from collections.abc import Sequence

import numpy as np

from fedphd.common.averaging.homogeneity import LabelState
from fedphd.common.config import TopologyConfig
from fedphd.common.training.seeding import numpy_rng
from fedphd.server.assignment.base import Assignment, AssignmentRule
from fedphd.server.registry import Registry


def plan_round(
    rule: AssignmentRule, topology: TopologyConfig, registry: Registry, first_edge_round: int, seed: int
) -> list[Assignment]:
    """Draw the plan of one root round.

    As in FedPhD's authors' code, all participants of an edge round are placed against the same edge
    states; the states then take in who came, and start anew with the next root round.

    Every root round has r_g edge rounds, the first one too. The authors' code averages at the root whenever the number
    of the edge round, from 0, is a multiple of r_g: for the first time after edge round 0, when the edges hold hardly
    more than the initial model, and at the end r_g - 1 edge rounds are left over. Ours differs by this shift alone, and
    has one kind of root round to plan, commit, resume and account for.

    Parameters
    ----------
    rule : AssignmentRule
        How clients come to their edges.
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
    states = {edge: LabelState.initial(len(registry.classes)) for edge in registry.nodes}
    plan = []
    for edge_round in range(first_edge_round, first_edge_round + topology.edge_rounds):
        rng = numpy_rng(seed, "assignment", edge_round)
        participants = _participants(list(registry.profiles), topology.participation, rng)
        assignment = rule.place(participants, registry, states, rng)
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


def _participants(clients: list[str], participation: float, rng: np.random.Generator) -> list[str]:
    """Draw max(1, round(C * N)) clients without replacement, in the order of the registry."""
    number = max(1, round(participation * len(clients)))
    return [clients[i] for i in sorted(rng.choice(len(clients), number, replace=False))]

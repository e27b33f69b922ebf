"""How evenly edges are filled: SH(q_e) over a root round, by assignment; plans only, nothing is trained.

Twenty clients with two classes each (or the default run's digits), two edges, 200 root rounds. SH is the mean over root
rounds and edges; an edge at which nobody trained has no labels and is left out. *Bound* is SH of all that trained in
the root round: edges with as many images each cannot be more alike to the target on average. *Least share* is the mean
share of the edge with the fewest images, and *idle* how often an edge had no client in the last edge round.
Afterwards: seconds to place the participants of one edge round. `python -m benchmarks.homogeneity`, a minute.
"""

import time
from collections.abc import Sequence

import numpy as np

from fedphd.common.averaging.homogeneity import LabelState, homogeneity
from fedphd.common.config import Config, compose
from fedphd.common.config.topology import edge_ids, homes
from fedphd.common.wire.messages import Profile
from fedphd.launch.cost.profiles import registry as registry_of
from fedphd.server.assignment import ASSIGNMENTS, Assignment, AssignmentRule, plan_round
from fedphd.server.registry import Registry

ROUNDS = 200
DRAW = "homogeneity a={a:g} b={b:g}"
RULES = {"random": {"kind": "random"}} | {
    DRAW.format(a=a, b=b): {"kind": "homogeneity", "a": a, "b": b, "unit": "client", "count": "before"}
    for a, b in ((1.0, 0.0), (2.0, 0.0), (4.0, 0.0), (8.0, 0.0), (64.0, 0.0), (20.0, -30.0), (40.0, -64.0))
}
RULES["balanced"] = {"kind": "balanced"}
TWENTY = ["topology.clients=20", "topology.edges=2", "topology.edge_rounds=5", "partition.classes_per_client=2"]
SETTINGS: dict[str, list[str]] = {
    "digits, the default run": [],
    "digits, 20 clients, C = 0.2": [*TWENTY, "topology.participation=0.2"],
    "digits, 20 clients, C = 0.4": [*TWENTY, "topology.participation=0.4"],
}


def filled(plan: Sequence[Assignment], known: Registry) -> dict[str, LabelState]:
    """Give what each edge has trained on after a root round."""
    states = {edge: LabelState.initial(len(known.classes)) for edge in known.nodes}
    for edge, clients in ((edge, clients) for assignment in plan for edge, clients in assignment.items()):
        for client in clients:
            states[edge] = states[edge].add(known.distribution(client), known.profiles[client].samples)
    return states


def bound(states: Sequence[LabelState]) -> float:
    together = LabelState.initial(len(states[0].q))
    for state in states:
        together = together.add(state.q, state.n)
    return homogeneity(together.q)


def measure(rule: AssignmentRule, config: Config, known: Registry) -> tuple[float, float, float, float]:
    """Give SH, its bound, the least edge's share of the images, and how often an edge was idle at the end."""
    scores, bounds, shares, idle = [], [], [], []
    for root_round in range(ROUNDS):
        plan = plan_round(rule, config.topology, known, root_round * config.topology.edge_rounds, config.seed)
        states = list(filled(plan, known).values())
        scores += [homogeneity(state.q) for state in states if state.n]
        bounds.append(bound(states))
        shares.append(min(state.n for state in states) / sum(state.n for state in states))
        idle.append(not all(plan[-1].values()))
    return float(np.mean(scores)), float(np.mean(bounds)), float(np.mean(shares)), float(np.mean(idle))


def crowd(clients: int, edges: int) -> tuple[Config, Registry]:
    """Clients of 100 to 300 images of two classes of ten each."""
    config = compose([f"topology.clients={clients}", f"topology.edges={edges}", "topology.participation=0.2"])
    rng, known = np.random.default_rng(0), homes(config.topology)
    profiles = {}
    for client in known:
        counts = np.zeros(10)
        counts[rng.choice(10, 2, replace=False)] = rng.integers(50, 150, 2)
        profiles[client] = Profile(client, int(counts.sum()), [str(y) for y in range(10)], counts.tolist())
    return config, Registry({edge: node for node, edge in enumerate(edge_ids(config.topology))}, profiles, known)


def seconds(rule: AssignmentRule, clients: int, edges: int) -> float:
    config, known = crowd(clients, edges)
    started = time.perf_counter()
    plan_round(rule, config.topology, known, 0, seed=0)
    return (time.perf_counter() - started) / config.topology.edge_rounds


def main() -> None:
    rules = {name: ASSIGNMENTS.read(options) for name, options in RULES.items()}
    for name, overrides in SETTINGS.items():
        config = compose(["method=fedphd", *overrides])
        known = registry_of(config)
        print(f"{name}, {ROUNDS} root rounds")
        print("assignment                  SH      bound   least share  idle")
        for label, rule in rules.items():
            score, most, share, idle = measure(rule, config, known)
            print(f"{label:26}  {score:.4f}  {most:.4f}  {share:11.3f}  {idle:4.0%}")
    print("seconds for one edge round, a fifth of the clients taking part")
    for clients, edges in ((20, 2), (1000, 2), (1000, 10)):
        times = "  ".join(f"{name} {seconds(rules[name], clients, edges):.4f}" for name in ("random", "balanced"))
        print(f"{clients:5} clients, {edges:2} edges: {times}")


if __name__ == "__main__":
    main()

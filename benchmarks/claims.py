"""FedPhD's claims put to the test: hierarchy, homogeneity and pruning, one after the other, at equal client epochs.

Each arm adds one part to the one before it, and all of them pass over the clients' images as often: 150 root rounds of
C = 0.2 of 20 clients with two classes each, five passes in a round. Seeds are paired: the same seed draws the same
partition and the same first weights in all arms. `python -m benchmarks.claims runs/claims` trains every arm with
three seeds, as many runs at a time as there are cores, and leaves out what is finished; about 9 minutes of a core each.

    python -m benchmarks.claims FOLDER [--data fashion_mnist data.root=/data] [--arms flat edges] [--seeds 0 1 2]

`python -m benchmarks.results` makes the pages below docs/results/ of the saved comparisons.
"""

import sys
from dataclasses import dataclass

from benchmarks.runs import parser, train_all

FLAT = ["method=fedavg", "topology=flat"]
EDGES = ["topology=edges", "topology.edges=2", "topology.edge_rounds=5"]
A = "assignment.a=4"  # times the mean client's images, as FedPhD's authors for C = 0.2
SMALL = ["pruning.ratio=0.4", "codec.access.up.zstd=3", "codec.backbone.up.zstd=3"]
EDGES_1 = ["topology=edges", "topology.edges=2", "topology.edge_rounds=1"]
E_5, E_1 = ["training.epochs=5"], ["training.epochs=1"]


@dataclass(frozen=True)
class Arm:
    """One line of the table: what it is, and the settings that make it so."""

    title: str
    settings: list[str]


ARMS = {
    "flat": Arm("A: flat FedAvg, E = 5", [*FLAT, *E_5]),
    "edges": Arm("B: two edges, five edge rounds of E = 1", ["method=fedavg", *EDGES, *E_1]),
    "homogeneity": Arm(
        "C: B with FedPhD's draw and weights",
        ["method=fedavg", *EDGES, *E_1, "assignment=homogeneity", "weighting=homogeneity", A],
    ),
    "pruned": Arm("D: C pruned at the start", ["method=fedphd_os", *EDGES, *E_1, A]),
    "sparse": Arm("E: D with a sparse phase before", ["method=fedphd", *EDGES, *E_1, A]),
    "flat_pruned": Arm("A pruned at the start", [*FLAT, *E_5, "pruning=at_start"]),
    "flat_often": Arm("A with E = 1, five times the rounds", [*FLAT, *E_1]),
    "balanced": Arm("B with our balanced assignment", ["method=fedavg", *EDGES, *E_1, "assignment=balanced"]),
    "plus": Arm("two edges, E = 5, with our `method=fedphd_plus`", ["method=fedphd_plus", *EDGES_1, *E_5, *SMALL]),
}

COMMON = [
    "runtime=inprocess",
    "topology.clients=20",
    "topology.participation=0.2",
    "partition=pathological",
    "partition.classes_per_client=2",
    "training.lr=1e-3",
    "training.schedule=constant",
    "ema_decay=null",
    "evaluation=fd_classifier",
    "checkpoint.keep=1",
]


@dataclass(frozen=True)
class Scale:
    """How large a test is: the data's settings, root rounds, and how many images are drawn to measure."""

    settings: list[str]
    rounds: int
    evaluations: int = 6
    images: int = 500
    final_images: int = 2000

    def of(self, arm: str) -> list[str]:
        """Give the settings of an arm at this scale."""
        rounds = self.rounds * (5 if arm == "flat_often" else 1)
        measuring = [
            f"evaluation.every={rounds // self.evaluations}",
            f"evaluation.images={self.images}",
            f"evaluation.final_images={self.final_images}",
        ]
        return [*COMMON, *ARMS[arm].settings, *self.settings, f"rounds={rounds}", *measuring]


SCALES = {
    "digits": Scale(["data=digits", "model=digits8"], rounds=150),
    "fashion_mnist": Scale(
        ["data=fashion_mnist", "model=fashion28", "training.batch_size=64"], rounds=30, evaluations=3
    ),
}


def main() -> None:
    """Train what is asked for."""
    made = parser(__doc__, ARMS, "arm")
    made.add_argument("--data", choices=SCALES, default="digits")
    given = made.parse_intermixed_args()
    sys.exit(not train_all(given, SCALES[given.data].of))


if __name__ == "__main__":
    main()

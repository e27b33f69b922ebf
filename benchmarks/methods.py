"""Every method on the digits, side by side: what each sends until it draws images of a stated quality.

30 root rounds of 2 edges; flat FedAvg with E = 2, which makes as many client epochs, is the row that bytes are shares
of. Nothing is tuned for any method. About 2 minutes of a core each:

    python -m benchmarks.methods FOLDER [--methods fedavg fedphd] [--seeds 0 1 2]
    fedphd compare FOLDER --save docs/results/methods.json

`python -m benchmarks.results` makes the pages below docs/results/ of the saved comparisons.
"""

import sys

from benchmarks.runs import parser, train_all

METHODS = (
    "fedavg",
    "fedprox",
    "scaffold",
    "moon",
    "fedphd",
    "fedphd_os",
    "fedphd_plus",
    "feddiffuse_full",
    "feddiffuse_usplit",
    "feddiffuse_ulatdec",
    "feddiffuse_udec",
    "fedddpm",
    "fedddpm_plus",
    "feddm_vanilla",
    "feddm_prox",
    "feddm_quant",
    "centralised",
)
INT8 = ["method=fedphd", "codec=int8"]
SMALL = ["pruning.ratio=0.4", "codec.access.up.zstd=3", "codec.backbone.up.zstd=3"]
ROWS = {
    "flat": ["method=fedavg", "topology=flat", "training.epochs=2"],
    **{method: [f"method={method}"] for method in METHODS},
    "fedphd_int8": INT8,
    "fedphd_int8_udec": [*INT8, "exchange=udec"],
    "fedphd_plus_small": ["method=fedphd_plus", "topology.edge_rounds=1", "training.epochs=2", *SMALL],
}

COMMON = [
    "runtime=inprocess",
    "rounds=30",
    "ema_decay=null",  # some methods have no global model to average
    "evaluation.every=5",
    "evaluation.images=500",
    "evaluation.final_images=1000",
    "checkpoint.keep=1",
]


def main() -> None:
    """Train what is asked for."""
    given = parser(__doc__, ROWS, "method").parse_intermixed_args()
    sys.exit(not train_all(given, lambda row: [*COMMON, *ROWS[row]]))


if __name__ == "__main__":
    main()

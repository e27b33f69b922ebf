"""FedPhD: hierarchical federated training of pruned diffusion models on Flower."""

import os

# OpenMP reads these once, when torch loads it: several one-thread processes that share a few cores
# must not spin while they wait. `setdefault`, so that a user's own values win.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

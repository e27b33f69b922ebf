"""What more than one tier needs. Nothing in here imports a tier."""

import os

# OpenMP reads these once, when torch loads it: several one-thread processes that share a few cores
# must not spin while they wait. `setdefault`, so that a user's own values win.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

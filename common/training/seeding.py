"""The one place where randomness is seeded.

Every random choice draws from a stream that is named by what it is for, e.g.
``derive_seed(seed, "train", client_id, edge_round)``. So no choice depends on which process makes
it, nor on what else was drawn before: simulation, deployment and a resumed run draw the same.
"""

import hashlib
import json

import numpy as np


def derive_seed(seed: int, *names: str | int) -> int:
    """Derive the seed of a named stream: a 63-bit integer, a pure function of its arguments."""
    text = json.dumps([seed, *names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_rng(seed: int, *names: str | int) -> np.random.Generator:
    """Make the NumPy generator of a named stream."""
    return np.random.default_rng(derive_seed(seed, *names))

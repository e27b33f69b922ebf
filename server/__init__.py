"""The root tier: plans, weighs, prunes, evaluates and keeps the global model."""

import common as _common  # noqa: F401 - sets OpenMP's environment before torch is imported

"""The client tier: trains the U-Net on its own images, which never leave it."""

import common as _common  # noqa: F401 - sets OpenMP's environment before torch is imported

"""The edge tier: averages its clients' updates for some edge rounds and forwards the result to the root."""

import common as _common  # noqa: F401 - sets OpenMP's environment before torch is imported

"""FedPhD: hierarchical federated training of pruned diffusion models on Flower.

This is all that the package promises to Python programs (docs/python.md); the modules below may change.

=====================  ====================================================================
``compose``            compose a configuration from settings as on the command line
``train``              train in this process
``read_run``           read a run folder, as a ``Run``
``load_model``         load a run's U-Net
``FedPhDError``        what a user can cause; ``SettingError``: a setting that cannot work
``__version__``        the installed version
=====================  ====================================================================
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedphd.launch.python import FedPhDError, Run, SettingError, compose, load_model, read_run, train

    __version__: str

__all__ = ["FedPhDError", "Run", "SettingError", "__version__", "compose", "load_model", "read_run", "train"]

# OpenMP reads these once, when torch loads it: several one-thread processes that share a few cores
# must not spin while they wait. `setdefault`, so that a user's own values win.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")


if not TYPE_CHECKING:  # a checker knows the names from above, and finds misspelt ones

    def __getattr__(name: str) -> object:
        """Import what the package offers when it is first used, so that its modules stay quick to import."""
        if name == "__version__":
            from importlib.metadata import version

            return version("fedphd")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from fedphd.launch import python

        return getattr(python, name)


def __dir__() -> list[str]:
    """Name what is offered, whether it was used before or not."""
    return sorted({*globals(), *__all__})

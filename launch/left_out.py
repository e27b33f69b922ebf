"""Telling of settings that no chosen part has, and that were left out for it (`Choices`, lenient)."""

from collections.abc import Mapping
from typing import Any

from fedphd.common.choices import Affects
from fedphd.common.config import Config, leaves
from fedphd.common.config.identity import affects


def left_out(tree: Mapping[str, Any], config: Config) -> list[str]:
    """Name the options of a composed tree that the checked configuration has not.

    An experiment, or the user, set them for another choice of their group than the one that was made. Where a run is
    executed is none of the user's concern here: an experiment may say so for more than one runtime.

    Parameters
    ----------
    tree : Mapping
        What Hydra composed, as plain dicts and lists.
    config : Config
        What `validate` made of it.
    """
    kept = dict(leaves(config.model_dump(by_alias=True)))
    decisive = {Affects.MODEL, Affects.MEASUREMENT}
    return [
        f"{key}={value} has no effect with {_choice(tree, key)}"
        for key, value in leaves(tree)
        if key not in kept and decisive & affects(key)
    ]


def _choice(tree: Mapping[str, Any], key: str) -> str:
    """Name the choice in whose section a setting was."""
    path = key.split(".")[:-1]
    section = tree
    for name in path:
        section = section[name]
    return f"{'.'.join(path)}={section.get('kind')}"

"""Whether a given model was told the classes that the run tells: its numbers for them must mean the same."""

import json
import re
import shlex
from collections.abc import Sequence

from fedphd.common.config import Config
from fedphd.common.data import load
from fedphd.common.network.given import Given

BARE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*|0|[1-9][0-9]*")  # text and whole numbers that Hydra takes without quotes
WORDS = {"null", "true", "false", "inf", "nan"}


def check_classes(given: Given, config: Config) -> None:
    """Check that the classes' names agree, and their order, where both sides have any.

    Raises
    ------
    SettingError
        If they do not.
    """
    if not given.classes or config.model.classes is None:
        return
    own = tuple(config.data.fixed_classes or load(config.data, "train", config.seed).class_names)
    if own != given.classes:
        known = "classes" in type(config.data).model_fields
        advice = f"set {as_setting(given.classes)}" if known else "give images of the same classes"
        told = f"was told the classes {','.join(given.classes)}, and this run has {','.join(own)} in this order"
        raise given.unusable(f"{told}; {advice}")


def as_setting(names: Sequence[str]) -> str:
    """Write names of classes as the command line takes them."""
    bare = all(BARE.fullmatch(name) and name.lower() not in WORDS for name in names)
    words = names if bare else [json.dumps(name, ensure_ascii=False) for name in names]
    return shlex.quote(f"data.classes=[{','.join(words)}]")

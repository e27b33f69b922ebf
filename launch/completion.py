"""Completion in a shell: Hydra completes settings, and this the commands before them."""

import os
from collections.abc import Sequence

from fedphd.launch.commands import COMMANDS
from fedphd.launch.train import train

LINE = "COMP_LINE"  # where the shell's script, which Hydra prints, puts the command line so far


def complete(words: Sequence[str]) -> None:
    """Print what may follow, one or more words a line, if `words` asks for it; all else is Hydra's.

    Where a path is to be given, and for a command without settings, nothing is printed, so that the shell offers files.
    """
    line = os.environ.get(LINE, "")
    program, _, rest = line.partition(" ")
    first, space, others = rest.lstrip().partition(" ")
    if not any(word.startswith("query=") for word in words):
        train(words)
        return
    if not space:
        print("\n".join(name for name in COMMANDS if name.startswith(first)))
    elif first in COMMANDS:
        settings = _after_path(others) if COMMANDS[first].begins_with_path else others
        if not COMMANDS[first].takes_settings or settings is None:
            return
        os.environ[LINE] = f"{program} {settings}"
    train(words)


def _after_path(words: str) -> str | None:
    """Take the path away with which a command's words begin; None while it is being typed."""
    path, space, rest = words.lstrip().partition(" ")
    return rest if path and space else None

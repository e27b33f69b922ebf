"""The `fedphd` command: its first word names another command (launch/commands/), or it trains (launch/train.py).

Nothing that takes long is imported here.
"""

import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from types import FrameType
from typing import NoReturn

from fedphd.launch.commands import COMMANDS
from fedphd.launch.ending import UsageError, in_one_line

OVERVIEW = """\
usage: fedphd [SETTING ...]            train
       fedphd COMMAND [--help | ...]   do something else

Federated training of pruned diffusion models. Without settings: FedPhD on handwritten digits, on the CPU.

settings:
  group=choice       choose a part, e.g. method=fedavg data=cifar10 runtime=inprocess
  group.key=value    set a value, e.g. training.lr=1e-3 topology.clients=4; rounds, seed and ema_decay
                     are in no group
  -m a=1,2 b=x,y     train with each combination, one after the other

commands:
{commands}

options:
  --help             print this
  --version          print the version
  --cfg job          print the whole configuration, with the given settings, and do not train
  --config-dir DIR   find choices of your own in DIR, e.g. DIR/method/mine.yaml for method=mine
  --info defaults    print where the configuration comes from; Hydra has more such options: --hydra-help

Details: fedphd COMMAND --help, and docs/command.md. The YAML files of conf/ explain all settings."""


def main() -> None:
    """Run the command; an error of the user's ends it with one line and an exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    with in_one_line():
        _dispatch(sys.argv[1:])


def _dispatch(words: Sequence[str]) -> None:
    first = words[0] if words else ""
    if first in COMMANDS:
        COMMANDS[first](words[1:])
    elif {"-h", "--help"} & set(words):
        commands = (f"  {command.name:17}  {command.summary}" for command in COMMANDS.values())
        print(OVERVIEW.format(commands="\n".join(commands)))
    elif "--version" in words:
        from importlib.metadata import version

        print(f"fedphd {version('fedphd')}")
    elif first and first[0] not in "-~" and "=" not in first:
        raise UsageError(f"{first}: there is no such command; {_advice(first)}")
    elif first in ("-sc", "--shell-completion"):
        from fedphd.launch.completion import complete

        complete(words)
    else:
        from fedphd.launch.train import train

        train(words)


def _advice(word: str) -> str:
    near = get_close_matches(word, COMMANDS, n=1)
    meant = f"did you mean fedphd {near[0]}? " if near else ""
    return f"{meant}there are {', '.join(COMMANDS)}; a setting is given as group=choice or group.key=value"


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Let SIGTERM end the run as Ctrl-C does, so that the processes that were started end too."""
    raise KeyboardInterrupt

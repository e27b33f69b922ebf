"""What a command besides training consists of.

The modules of this package import, at their top, nothing that takes long: all of them are imported by every start of
`fedphd`. What a command works with is imported when it runs.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from fedphd.launch.ending import UsageError


class Parser(ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises
        ------
        UsageError
            Always.
        """
        raise UsageError(f"{message}; see {self.prog} --help")


@dataclass(frozen=True)
class Command:
    """A command, called with the words that follow its name.

    Attributes
    ----------
    name : str
        The word after ``fedphd``.
    summary : str
        What it does, in one line of ``fedphd --help``.
    run : Callable[[Namespace], None]
        Does it, with the parsed arguments.
    add_arguments : Callable[[ArgumentParser], None]
        Declares them.
    takes_settings : bool
        Whether settings may follow, as for training; they are in the arguments as ``overrides``.
    begins_with_path : bool
        Whether a path comes before the settings.
    """

    name: str
    summary: str
    run: Callable[[Namespace], None]
    add_arguments: Callable[[ArgumentParser], None]
    takes_settings: bool = False
    begins_with_path: bool = False

    def __call__(self, words: Sequence[str]) -> None:
        """Parse the words and run.

        Raises
        ------
        FedPhDError
            What the user can do about: words that cannot be parsed, or what `run` raises.
        """
        parser = Parser(f"fedphd {self.name}", description=self.summary)
        self.add_arguments(parser)
        if not self.takes_settings:
            self.run(parser.parse_args(words))
            return
        parser.add_argument(
            "overrides", nargs="*", default=[], metavar="SETTING", help="as for training, e.g. topology.edges=3"
        )
        self.run(parser.parse_intermixed_args(words))

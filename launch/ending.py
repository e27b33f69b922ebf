"""How the command ends: its exit codes, and the one line that says what was wrong."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from fedphd.common.errors import FedPhDError, SettingError

FAILED, BAD_SETTING, INTERRUPTED = 1, 2, 130  # exit codes


class UsageError(FedPhDError):
    """A command line that cannot be understood."""


@contextmanager
def in_one_line() -> Iterator[None]:
    """End the process with one line and an exit code for what a user can cause, an interruption too.

    Raises
    ------
    SystemExit
        With 2 for a setting or a command line that cannot work, 130 if interrupted, 1 otherwise.
    """
    try:
        yield
    except (SettingError, UsageError) as error:
        _end(str(error), BAD_SETTING)
    except FedPhDError as error:
        _end(str(error), FAILED)
    except OSError as error:
        _end(f"{error.filename or 'a file'}: {error.strerror or error}", FAILED)
    except KeyboardInterrupt as interrupt:
        advice = str(interrupt)
        _end(f"interrupted; {advice}" if advice else "interrupted", INTERRUPTED)


def _end(text: str, code: int) -> NoReturn:
    print(f"fedphd: {text}", file=sys.stderr)
    sys.exit(code)

"""What Hydra refuses, said in one line: the setting, its value, and what was meant."""

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from fedphd.common.errors import FedPhDError, SettingError
from fedphd.launch.ending import UsageError
from fedphd.launch.known import choices_of, groups, meant_setting, settings

UNKNOWN = re.compile(r"Could not override '([\w.]+)'")
AMBIGUOUS = re.compile(r"Ambiguous value for argument '(.*)'")
NO_CHOICE = re.compile(r"\w+=(null|true|false|[\d.]+)", re.IGNORECASE)


@contextmanager
def hydra_explained(overrides: Sequence[str]) -> Iterator[None]:
    """Raise errors of our own in place of Hydra's about `overrides`.

    Raises
    ------
    SettingError
        If there is no such setting, group or choice.
    UsageError
        If an override cannot be parsed, or Hydra refuses something else.
    """
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(error, overrides) from error
    except ValueError as error:
        if "Config group override" not in str(error):  # Hydra's, of no class of its own
            raise
        valued = " ".join(
            word for word in overrides if NO_CHOICE.fullmatch(word) and word.partition("=")[0] in groups()
        )
        text = "a group takes one of its choices by name, as exchange=full does, and not a value"
        raise UsageError(f"{valued}: {text}") from error


def _explain(error: Exception, overrides: Sequence[str]) -> FedPhDError:
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        if options := error.options or choices_of(group):
            return SettingError(group, choice, f"there is no such choice; {_choices(choice, options)}")
    if isinstance(error, OverrideParseException):
        advice = UsageError(f"{error.override}: a setting is given as group=choice or group.key=value")
        return _unquoted(error.override) if "=" in error.override else advice
    if unknown := UNKNOWN.search(str(error)):
        return _unknown(unknown[1], overrides)
    if ambiguous := AMBIGUOUS.search(str(error)):
        sweep = UsageError("several choices need a sweep: fedphd -m group=one,other")
        return _unquoted(ambiguous[1]) if "/" in ambiguous[1] else sweep
    cause = error.__cause__ if error.__cause__ is not None else error
    lines = str(error).splitlines() or [str(cause)]
    return UsageError(" ".join(line.strip() for line in lines[:2]))


def _unquoted(override: str) -> SettingError:
    """Show how a value is quoted that has characters with a meaning of their own, or others than ASCII."""
    key, _, value = override.partition("=")
    if value.startswith(("[", "{")):
        advice = (
            "is no list or mapping that Hydra can read; text in it stands in double quotes, all of it in single ones"
        )
        return SettingError(key, value, f'{advice}, as \'data.classes=["one name","another"]\'')
    quote = "'" if '"' in value and "'" not in value else '"'
    text = re.sub(rf"(\\*)({quote}|$)", lambda found: 2 * found[1] + ("\\" if found[2] else "") + found[2], value)
    text = text.replace("${", "\\${")
    advice = "has characters that Hydra takes in quotes only"
    return SettingError(key, value, f"{advice}: {shlex.quote(f'{key}={quote}{text}{quote}')}")


def _choices(choice: str, options: Sequence[str]) -> str:
    near = get_close_matches(choice, options, n=1)
    return f"{f'did you mean {near[0]}? ' if near else ''}use one of {', '.join(options)}"


def _unknown(key: str, overrides: Sequence[str]) -> SettingError:
    """Say of a setting that is not there, which was meant, or where to look."""
    value = next((word.partition("=")[2] for word in overrides if word.partition("=")[0] == key), "")
    group = key.partition(".")[0]
    if key in settings():
        having = settings()[key]
        other = having[0].partition("=")[0] if having else group
        advice = f"there is no such option where it stands; only {' or '.join(having)} has it: choose another {other}="
    elif meant := meant_setting(key):
        advice = f"there is no such setting; did you mean {' or '.join(meant)}?"
    else:
        where = f"conf/{group}/" if group in groups() else "conf/config.yaml"
        advice = f"there is no such setting; see {where}, or fedphd --cfg job"
    return SettingError(key, value, advice)

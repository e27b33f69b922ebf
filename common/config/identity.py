"""What each setting affects, as its section in the schema says; which settings make a run that run."""

from collections.abc import Iterator, Mapping
from functools import cache, reduce
from typing import get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from fedphd.common.choices import Affects, At, Section
from fedphd.common.config.correction import FineTuning
from fedphd.common.config.schema import Config

BY_DEFAULT = frozenset({Affects.MODEL})


@cache
def affects(key: str) -> frozenset[Affects]:
    """Say what another value of a setting changes.

    Parameters
    ----------
    key : str
        The setting's dotted name. One that no choice has, as of another version's run, is taken to decide the model.
    """
    return _affected([Config], key.split("."), BY_DEFAULT)


def decides(key: str, config: Config) -> bool:
    """Say whether a run with another value of a setting is another run.

    More rounds change nothing in those that are over, unless the learning rate falls over all of them. The sampler
    draws what is measured, and with FedDDPM what the root is fine-tuned on.

    Parameters
    ----------
    key : str
        The setting's dotted name.
    config : Config
        Of the run.
    """
    if key == "rounds":
        return config.training.schedule != "constant"
    group, _, name = key.partition(".")
    section = getattr(config, group, None)
    if not (name and isinstance(section, Section)):
        return Affects.MODEL in affects(key)
    said = _affected([type(section)], name.split("."), affects(key))
    trained_on = group == "sampler" and isinstance(config.correction, FineTuning)
    return Affects.MODEL in said or (trained_on and Affects.MEASUREMENT in said)


def default(key: str, chosen: Mapping[str, str]) -> object:
    """Give the value of a setting that a configuration leaves out, as one of an older version does.

    Parameters
    ----------
    key : str
        The setting's dotted name.
    chosen : Mapping[str, str]
        The settings that the configuration has, which say what is chosen of each group.

    Returns
    -------
    object
        `PydanticUndefined` if it has to be given, or what is chosen has no such setting.
    """
    return _default(Config, key.split("."), "", chosen)


def sections_of(field: FieldInfo) -> list[type[Section]]:
    """List the sections that a field may hold: one, or all registered choices of a group; none for an option."""
    for note in field.metadata:
        if isinstance(note, At):
            return [*note.choices.classes, note.choices.base]
    kinds = (field.annotation, *get_args(field.annotation))  # one, or one that may be null
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)]


def settings() -> Iterator[str]:
    """Yield the dotted names of all settings, those of every registered choice included."""
    yield from dict.fromkeys(_settings([Config], ""))


def _settings(sections: list[type[Section]], path: str) -> Iterator[str]:
    for section in sections:
        for name, field in section.model_fields.items():
            key = f"{path}{field.alias or name}"
            inner = sections_of(field)
            if inner:
                yield from _settings(inner, f"{key}.")
            else:
                yield key


def _default(section: type[Section], names: list[str], path: str, chosen: Mapping[str, str]) -> object:
    for name, field in section.model_fields.items():
        if names[0] not in (name, field.alias):
            continue
        key, given = f"{path}{names[0]}", field.get_default(call_default_factory=True)
        if not any(other.startswith(f"{key}.") for other in chosen):  # nothing is said of this group
            return reduce(lambda value, inner: getattr(value, inner, PydanticUndefined), names[1:], given)
        inner = _chosen(field, key, chosen)
        return PydanticUndefined if inner is None else _default(inner, names[1:], f"{key}.", chosen)
    return PydanticUndefined


def _chosen(field: FieldInfo, key: str, chosen: Mapping[str, str]) -> type[Section] | None:
    """Find what is chosen of a group; of a class of the user's own, what all choices have."""
    for note in field.metadata:
        if isinstance(note, At):
            known = dict(zip(note.choices.kinds, note.choices.classes, strict=True))
            return known.get(chosen.get(f"{key}.{note.choices.named_by}", ""), note.choices.base)
    return next(iter(sections_of(field)), None)


def _affected(sections: list[type[Section]], names: list[str], default: frozenset[Affects]) -> frozenset[Affects]:
    for section in sections:
        for name, field in section.model_fields.items():
            if names[0] not in (name, field.alias):
                continue
            inner = sections_of(field)
            if inner and names[1:]:
                return _affected(inner, names[1:], frozenset({inner[-1].affects}))
            said = frozenset(note for note in field.metadata if isinstance(note, Affects))
            return said or frozenset({section.affects})
    return default

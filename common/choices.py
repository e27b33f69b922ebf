"""Open choices: a group of the configuration is one of several sections, and a user's own comes in by its import path.

A choice is a small frozen model that holds its own options and facts, and, where the tier that runs it can be
imported, what it does. It is registered once, under the name that its YAML file gives as ``kind``::

    PARTITIONS = Choices("partition", Partition)


    @PARTITIONS.register("iid")
    class IID(Partition): ...

Where `common/` needs to know nothing of a choice but its name, the configuration carries it unread (`Carried`) to the
tier that has its class.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import Enum
from importlib import import_module
from inspect import isabstract
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import CoreSchema, core_schema

from fedphd.common.errors import SettingError


class Affects(Enum):
    """What another value of a setting changes: another model, another measure of the same model, or neither."""

    MODEL = "model"
    MEASUREMENT = "measurement"
    NOTHING = "nothing"


class Section(BaseModel):
    """A group of options: unknown keys are refused, values never change after the check.

    Attributes
    ----------
    affects : Affects
        Of all options of the section, but for those that say otherwise in their annotation, as
        ``every: Annotated[int, Affects.NOTHING]``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    affects: ClassVar[Affects] = Affects.MODEL


class Choice(Section):
    """One choice of a group.

    Attributes
    ----------
    kind : str
        The name that it is registered under, or the import path of a user's own class.
    """

    kind: str


class Carried(Section):
    """A choice whose class another tier has: its options are carried there unread, and checked by `Choices.read`."""

    model_config = ConfigDict(extra="allow")

    kind: str


C = TypeVar("C", bound=Choice)


class Choices(Generic[C]):
    """The choices of one group.

    Parameters
    ----------
    group : str
        The group's name in `conf/`, with which errors begin.
    base : type
        What each choice is a subclass of, a user's own too.
    """

    def __init__(self, group: str, base: type[C]) -> None:
        self.group = group
        self.base = base
        self._classes: dict[str, type[C]] = {}

    def register(self, kind: str) -> Callable[[type[C]], type[C]]:
        """Register the decorated class under the name that its YAML file gives as ``kind``.

        Raises
        ------
        ValueError
            If the name is taken.
        """

        def register(choice: type[C]) -> type[C]:
            if kind in self._classes:
                raise ValueError(f"{self.group}={kind} is registered twice")
            self._classes[kind] = choice
            return choice

        return register

    @property
    def kinds(self) -> tuple[str, ...]:
        """The registered names, in the order of registration."""
        return tuple(self._classes)

    def find(self, kind: object, key: str | None = None) -> type[C]:
        """Find the class of a kind, by its registered name or the import path ``package.module:Class``.

        Raises
        ------
        SettingError
            If there is no such class.
        """
        key = f"{key or self.group}.kind"
        if isinstance(kind, str) and kind in self._classes:
            return self._classes[kind]
        if not isinstance(kind, str) or ":" not in kind:
            raise SettingError(key, kind, self._advice(kind))
        found = import_object(key, kind)
        if not (isinstance(found, type) and issubclass(found, self.base)):
            raise SettingError(key, kind, f"is no subclass of {self.base.__module__}.{self.base.__name__}")
        if isabstract(found):
            raise SettingError(key, kind, f"lacks {', '.join(sorted(found.__abstractmethods__))}")
        return found

    def read(self, tree: object, key: str | None = None) -> C:
        """Check the options of a choice.

        Parameters
        ----------
        tree : Mapping, Carried or Choice
            ``kind`` and the choice's options.
        key : str, optional
            The dotted name that errors begin with; by default the group's.

        Raises
        ------
        SettingError
            If there is no such choice, or an option does not fit it.
        """
        key = key or self.group
        if isinstance(tree, self.base):
            return tree
        if isinstance(tree, Carried):
            tree = tree.model_dump(exclude_unset=True)
        if not isinstance(tree, Mapping):
            raise SettingError(key, tree, self._advice(tree))
        choice = self.find(tree.get("kind"), key)
        try:
            return choice.model_validate(tree)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise _unfit(key, choice, tree, first["loc"], str(first["type"]), first["input"], first["msg"]) from None

    def at(self, key: str) -> "At[C]":
        """Annotate a field that holds one of these choices: ``Annotated[Base, CHOICES.at("group.field")]``."""
        return At(self, key)

    def _advice(self, kind: object) -> str:
        near = get_close_matches(str(kind), self.kinds, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        return f"there is no such choice; {meant}use {', '.join(self.kinds)}, or an import path package.module:Class"


class At(Generic[C]):
    """Where in the configuration a choice stands; pydantic reads and writes the field through its `Choices`."""

    def __init__(self, choices: Choices[C], key: str) -> None:
        self.choices = choices
        self.key = key

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> CoreSchema:
        """Read by `Choices.read`; write all that was set."""
        return core_schema.no_info_plain_validator_function(
            lambda tree: self.choices.read(tree, self.key),
            serialization=core_schema.plain_serializer_function_ser_schema(_dump, info_arg=True),
        )


def import_object(key: str, path: str) -> Any:
    """Import what a user's setting names as ``package.module:attribute``.

    Parameters
    ----------
    key : str
        The setting's dotted name, for the error.
    path : str
        The import path.

    Raises
    ------
    SettingError
        If it cannot be imported.
    """
    module, _, attribute = path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:  # a user's module may raise anything
        advice = f"cannot be imported ({error}); use package.module:attribute, with its folder on PYTHONPATH"
        raise SettingError(key, path, advice) from error


def _dump(choice: Choice, info: core_schema.SerializationInfo) -> dict[str, Any]:
    return choice.model_dump(mode=info.mode, by_alias=True, exclude_unset=bool(info.exclude_unset))


def _unfit(
    key: str,
    choice: type[Choice],
    tree: Mapping[str, object],
    location: tuple[int | str, ...],
    kind: str,
    value: object,
    text: str,
) -> SettingError:
    """Say which option does not fit a choice."""
    name = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        own = sorted(set(choice.model_fields) - {"kind"})
        has = f"it has {', '.join(own)}" if own else "it has no options"
        return SettingError(f"{key}.{name}", value, f"{key}={tree['kind']} has no such option; {has}")
    return SettingError(f"{key}.{name}" if name else key, None if kind == "missing" else value, text)

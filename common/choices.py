"""Open choices: a group of the configuration is one of several sections, and a user's own comes in by its import path.

A choice is a small frozen model that holds its own options and facts, and, where the tier that runs it can be
imported, what it does. It is registered once, under the name that its YAML file gives as ``kind``::

    PARTITIONS = Choices("partition", Partition)


    @PARTITIONS.register("iid")
    class IID(Partition): ...

Where `common/` needs to know nothing of a choice but its name, the configuration carries it unread (`Carried`) to the
tier that has its class.
"""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from enum import Enum
from importlib import import_module
from inspect import isabstract
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import CoreSchema, core_schema

from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from fedphd.common.config.schema import Config


class Affects(Enum):
    """What another value of a setting changes.

    Attributes
    ----------
    MODEL
        The trained model: with another value it is another run.
    MEASUREMENT
        How the model is measured: with another value, figures of quality are not comparable.
    COURSE
        How a run goes: on which machines, how long it waits for whom, how often it measures. A resumed run may change
        it, but the runs of an experiment should not differ in it.
    NOTHING
        None of these: where things are, what is kept, how the work is spread.
    """

    MODEL = "model"
    MEASUREMENT = "measurement"
    COURSE = "course"
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

    def check(self, config: "Config") -> None:
        """Check what needs more than one option; called once the whole configuration is read.

        Parameters
        ----------
        config : Config
            The whole configuration, of which this section is a part.

        Raises
        ------
        SettingError
            If options contradict each other, or one would have no effect.
        """

    @classmethod
    def narrow(cls, section: "Section", key: str) -> Self:
        """Take a section that must be of this class, because its options are needed.

        Raises
        ------
        SettingError
            If it is of another; `key` is the section's dotted name.
        """
        if not isinstance(section, cls):
            raise SettingError(key, type(section).__name__, f"must be {cls.__name__}, whose options are needed here")
        return section


class Choice(Section):
    """One choice of a group.

    Attributes
    ----------
    kind : str
        The name that it is registered under, or the import path of a user's own class.
    """

    kind: str

    def __hash__(self) -> int:
        """Hash by the options, of which a user's own may be lists; what is read is kept by them."""
        return hash(self.model_dump_json())


class Carried(Section):
    """A choice whose class another tier has: its options are carried there unread, and checked by `Choices.read`."""

    model_config = ConfigDict(extra="allow")

    kind: str


C = TypeVar("C", bound=Section)


class Choices(Generic[C]):
    """The choices of one group.

    Parameters
    ----------
    group : str
        The group's name in `conf/`, with which errors begin.
    base : type
        What each choice is a subclass of, a user's own too.
    lenient : bool, optional
        Whether a choice leaves out the options of the group's others. An experiment, or the command of a rendered
        deployment, may set them before the user chooses another.
    named_by : str, optional
        The key that names a choice.
    closed : bool, optional
        Whether a user's own class cannot be named by its import path.
    otherwise : type, optional
        What a name that is not registered stands for.
    """

    def __init__(
        self,
        group: str,
        base: type[C],
        *,
        lenient: bool = False,
        named_by: str = "kind",
        closed: bool = False,
        otherwise: type[C] | None = None,
    ) -> None:
        self.group = group
        self.base = base
        self.lenient = lenient
        self.named_by = named_by
        self.closed = closed
        self.otherwise = otherwise
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

    @property
    def classes(self) -> tuple[type[C], ...]:
        """The registered classes, in the order of registration."""
        return tuple(self._classes.values())

    def find(self, kind: object, key: str | None = None) -> type[C]:
        """Find the class of a kind, by its registered name or the import path ``package.module:Class``.

        Raises
        ------
        SettingError
            If there is no such class.
        """
        key = f"{key or self.group}.{self.named_by}"
        if isinstance(kind, str) and kind in self._classes:
            return self._classes[kind]
        if isinstance(kind, str) and self.otherwise is not None:
            return self.otherwise
        if not isinstance(kind, str) or ":" not in kind or self.closed:
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
            advice = f"is a section; choose by {key}.{self.named_by}, one of {', '.join(self.kinds)}"
            raise SettingError(key, tree, advice)
        choice = self.find(tree.get(self.named_by), key)
        if self.lenient and choice.model_config.get("extra") != "allow":  # which may have any option
            others = {name for other in self.classes for name in other.model_fields} - set(choice.model_fields)
            tree = {name: value for name, value in tree.items() if name not in others}
        try:
            return choice.model_validate(tree)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise _unfit(
                key, choice, tree[self.named_by], first["loc"], str(first["type"]), first["input"], first["msg"]
            ) from None

    def at(self, key: str) -> "At[C]":
        """Annotate a field that holds one of these choices: ``Annotated[Base, CHOICES.at("group.field")]``."""
        return At(self, key)

    def _advice(self, kind: object) -> str:
        closed = self.closed or self.otherwise is not None
        return no_such("choice", kind, self.kinds, "" if closed else "package.module:Class")


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


def no_such(what: str, given: object, known: Collection[str], path: str) -> str:
    """Say that a name is not known, which one may be meant, and what can be given instead.

    Parameters
    ----------
    what : str
        What it should name, e.g. "choice".
    given : object
        What was given for a name.
    known : Collection[str]
        The known names.
    path : str
        The form of an import path that can be given too; empty: none can.
    """
    near = get_close_matches(given, known, n=1) if isinstance(given, str) else []
    meant = f"did you mean {near[0]}? " if near else ""
    own = f", or an import path {path}" if path else ""
    return f"there is no such {what}; {meant}use {', '.join(known)}{own}"


def find_named(key: str, name: str, known: Mapping[str, Any], what: str, path: str) -> Any:
    """Find what a setting names: by its registered name, or a user's own by its import path.

    Parameters
    ----------
    key : str
        The setting's dotted name, for errors.
    name : str
        Its value.
    known : Mapping[str, Any]
        What is registered, by name.
    what, path : str
        As for `no_such`.

    Raises
    ------
    SettingError
        If there is no such thing, or it cannot be imported.
    """
    if name in known:
        return known[name]
    if ":" not in name:
        raise SettingError(key, name, no_such(what, name, known, path))
    return import_object(key, name)


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


def _dump(choice: Section, info: core_schema.SerializationInfo) -> dict[str, Any]:
    return choice.model_dump(mode=info.mode, by_alias=True, exclude_unset=bool(info.exclude_unset))


def _unfit(
    key: str,
    choice: type[Section],
    named: object,
    location: tuple[int | str, ...],
    kind: str,
    value: object,
    text: str,
) -> SettingError:
    """Say which option does not fit a choice."""
    name = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        own = sorted({field.alias or name for name, field in choice.model_fields.items()} - {"kind", "name"})
        has = f"it has {', '.join(own)}" if own else "it has no options"
        return SettingError(f"{key}.{name}", value, f"{key}={named} has no such option; {has}")
    return SettingError(f"{key}.{name}" if name else key, None if kind == "missing" else value, text)

"""Groups that leave out the options of others, that take no import paths, or that take any name."""

import pytest
from pydantic import ConfigDict

from fedphd.common.choices import Choice, Choices, Section
from fedphd.common.errors import SettingError

FRUITS = Choices("fruit", Choice, lenient=True)


@FRUITS.register("apple")
class Apple(Choice):
    weight: int


@FRUITS.register("pear")
class Pear(Choice):
    length: int


class Site(Section):
    name: str


class Own(Site):
    model_config = ConfigDict(extra="allow")


SITES = Choices("site", Site, named_by="name", otherwise=Own)


@SITES.register("here")
class Here(Site):
    rooms: int = 1


def test_a_lenient_group_leaves_out_what_other_choices_have() -> None:
    assert FRUITS.read({"kind": "apple", "weight": 1, "length": 2}) == Apple(kind="apple", weight=1)
    with pytest.raises(SettingError, match=r"^fruit\.lengths=2: fruit=apple has no such option; it has weight"):
        FRUITS.read({"kind": "apple", "weight": 1, "lengths": 2})


def test_a_strict_group_does_not() -> None:
    strict = Choices("fruit", Choice)
    strict.register("apple")(Apple)
    strict.register("pear")(Pear)
    with pytest.raises(SettingError, match=r"^fruit\.length=2: fruit=apple has no such option"):
        strict.read({"kind": "apple", "weight": 1, "length": 2})


def test_a_closed_group_imports_nothing() -> None:
    closed = Choices("fruit", Choice, closed=True)
    closed.register("apple")(Apple)
    with pytest.raises(SettingError, match=r"^fruit\.kind=os:path: there is no such choice; use apple$"):
        closed.read({"kind": "os:path"})


def test_names_of_others_may_stand_for_one_class() -> None:
    assert SITES.read({"name": "here"}) == Here(name="here")
    own = SITES.read({"name": "there", "beds": 3})
    assert isinstance(own, Own) and own.model_dump() == {"name": "there", "beds": 3}


def test_a_section_whose_options_are_needed() -> None:
    pear = FRUITS.read({"kind": "pear", "length": 9})
    assert Pear.narrow(pear, "fruit").length == 9
    with pytest.raises(SettingError, match=r"^fruit=Pear: must be Apple, whose options are needed here"):
        Apple.narrow(pear, "fruit")

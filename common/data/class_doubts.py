"""Classes agree by name, so holders that call one class by two names have two: what looks like that."""

from collections.abc import Mapping, Sequence

from fedphd.common.data.class_list import ONE_CLASS, is_number
from fedphd.common.data.decoding.words import some

REMEDY = "name them alike, or give data.classes"

Named = Mapping[str, Sequence[str]]


def doubts(named: Named) -> dict[str, list[str]]:
    """Say what looks wrong in each holder's classes beside those of the holders before it.

    Parameters
    ----------
    named : Mapping[str, Sequence[str]]
        The classes of all holders.

    Returns
    -------
    dict[str, list[str]]
        Warnings, one line each, of every holder; mostly none.
    """
    found = (_twins(named), other_kinds(named))
    return {holder: [f"WARNING: {one[holder]}" for one in found if holder in one] for holder in named}


def other_kinds(named: Named) -> dict[str, str]:
    """Name holders whose classes are numbers, words or none, where the first's are another of these, and none agree."""
    kinds = {holder: kind for holder, classes in named.items() if (kind := _kind(classes)) is not None}
    first = next(iter(kinds), "")
    told = {holder: f"{kind} ({some(named[holder])})" for holder, kind in kinds.items()}
    return {
        holder: f"its classes are {told[holder]}, and those of {first} {told[first]}: {REMEDY}"
        for holder, kind in kinds.items()
        if kind != kinds[first] and set(named[holder]).isdisjoint(named[first])
    }


def _kind(classes: Sequence[str]) -> str | None:
    if list(classes) == [ONE_CLASS]:
        return "none"
    numbers = sum(map(is_number, classes))
    return "words" if numbers == 0 else "numbers" if numbers == len(classes) else None


def _twins(named: Named) -> dict[str, str]:
    """Name holders with classes that differ by capitals alone from those of one before; who has both means both."""
    spellings: dict[str, dict[str, str]] = {}  # of a name without capitals: each, with the first holder that has it
    for holder, classes in named.items():
        for name in classes:
            spellings.setdefault(name.casefold(), {}).setdefault(name, holder)
    several = {key: ways for key, ways in spellings.items() if len(ways) > 1 and not _meant(ways, named)}
    found = {}
    for holder, classes in named.items():
        firsts = {name: next(iter(several[key].items())) for name in classes if (key := name.casefold()) in several}
        twins = {name: first for name, (first, _) in firsts.items() if name != first}
        if twins:
            other = firsts[next(iter(twins))][1]
            theirs = {name: first for name, first in twins.items() if firsts[name][1] == other}
            found[holder] = (
                f"its {some(theirs)} and {other}'s {some(theirs.values())} differ by capitals alone, and count as "
                f"different classes: {REMEDY}"
            )
    return found


def _meant(spellings: Mapping[str, str], named: Named) -> bool:
    return any(len(spellings.keys() & set(classes)) > 1 for classes in named.values())

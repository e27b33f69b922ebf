"""What a user should hear of: how files of a set differ from the images that they become."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fedphd.common.data.decoding.depth import Depth, Range, around
from fedphd.common.data.decoding.facts import Mark, Window
from fedphd.common.data.decoding.formats import Kind, kind_of
from fedphd.common.data.decoding.survey import Survey
from fedphd.common.data.decoding.words import several, some


def changes(
    found: Survey, depth: Depth, *, given: bool, window: Window, background: str, every_page: bool
) -> Iterator[str]:
    """Say what becomes of the files, one line for each kind of change."""
    yield from _of_depth(found, depth, given)
    yield from _of_windows(found, window)
    yield from _of_pages(found, every_page)
    marks = Counter(mark for facts in found.facts.values() for mark in facts.marks)
    for mark in Mark:
        if mark in marks:
            yield f"{several(marks[mark], 'image')} {mark.value.format(background=background)}"
    profiles = [facts.profile for facts in found.facts.values() if facts.profile]
    if profiles:
        has = several(len(profiles), "image")
        yield f"{has} with another colour profile than sRGB ({some(profiles)}): the profile is not applied"


def change_of_colour(found: Survey, given: int | None, channels: int) -> Iterator[str]:
    """Say what becomes of grey and of colour."""
    grey = sum(facts.grey for facts in found.facts.values())
    colour = len(found.facts) - grey
    if given is None and channels == 1:
        yield "all images are grey: one channel (data.channels=3 makes them colour)"
    elif channels == 1 and colour:
        yield f"{several(colour, 'colour image')} became grey (data.channels=1)"
    elif given is None and grey:
        yield f"{several(grey, 'grey image')} became colour, as others are"


def _of_depth(found: Survey, depth: Depth, given: bool) -> Iterator[str]:
    deep = several(sum(facts.deep for facts in found.facts.values()), "image")
    if given:
        beyond = "" if depth.whole is None or depth.whole.strict else "; values beyond are taken for the nearest end"
        yield (
            "data.depth has no effect: no image has more than 8 bits and no window"
            if deep.startswith("0 ")
            else f"{deep} of more than 8 bits: {depth.whole} became 0 to 255, as data.depth says{beyond}"
        )
        return
    for whole, words, chosen in ((True, "whole numbers", depth.whole), (False, "fractions", depth.fractions)):
        seen = found.seen(whole=whole)
        if seen:
            what = f"{several(len(seen), 'image')} of more than 8 bits, {words} from {around(seen)}"
            yield f"{what}: {chosen} became 0 to 255 (data.depth=auto)"


def _of_windows(found: Survey, window: Window) -> Iterator[str]:
    windows = [facts.window for facts in found.facts.values() if facts.window is not None]
    if windows:
        low = Range(min(one.low for one in windows), max(one.low for one in windows))
        high = Range(min(one.high for one in windows), max(one.high for one in windows))
        ends = f"{_one_or_range(low)} became 0 and {_one_or_range(high)} 255"
        whose = (
            f"data.window=[{window[0]:g},{window[1]:g}]" if isinstance(window, tuple) else "the windows in their files"
        )
        yield f"{several(len(windows), 'image')} shown through {whose}: {ends}, and what is beyond likewise"
    elif isinstance(window, tuple):
        yield "data.window has no effect: there is no grey DICOM or NIfTI file"


def _one_or_range(ends: Range) -> str:
    return f"{ends.low:.6g}" if ends.low == ends.high else str(ends)


def _of_pages(found: Survey, every_page: bool) -> Iterator[str]:
    several_pages = {path: facts for path, facts in found.facts.items() if facts.pages > 1}
    if every_page and several_pages:
        pages = sum(facts.pages for facts in several_pages.values())
        files = several(len(several_pages), "file")
        yield f"{files} of several pages or slices gave {pages:,} images (data.slices=all)"
        return
    for medical, which in ((False, "first page"), (True, "middle slice or frame")):
        of_kind = [path for path in several_pages if (kind_of(path) is not Kind.PICTURE) == medical]
        if of_kind:
            yield f"{several(len(of_kind), 'file')} of several pages or slices: the {which} is used (data.slices=one)"

"""Reading the extractor and its options from the group `evaluation`."""

from collections.abc import Mapping

from fedphd.common.choices import import_object
from fedphd.common.config import EvaluationConfig
from fedphd.common.errors import SettingError
from fedphd.server.evaluation.extractor import EXTRACTORS, Extractor
from fedphd.server.evaluation.extractors.imported import Imported

KEY = "evaluation.extractor"


def read_extractor(evaluation: EvaluationConfig) -> Extractor | None:
    """Read the extractor, or None for sample grids only.

    Options of the product's other extractors are let go: `evaluation.extractor` alone switches.

    Raises
    ------
    SettingError
        If there is no such extractor, an option does not fit it, or there are too few images for it.
    """
    kind = evaluation.extractor
    choice = None if kind is None else _find(kind)
    options = _options(evaluation.model_extra or {}, choice)
    if kind is None or choice is Imported:
        _refuse(options, kind)
    if kind is None:
        return None
    tree = {"kind": kind, **options}
    extractor = Imported(kind=kind) if choice is Imported else EXTRACTORS.read(tree, "evaluation")
    _check_images(extractor, "evaluation.images", evaluation.images)
    _check_images(extractor, "evaluation.final_images", evaluation.images_at(last=True))
    _check_metric(extractor)
    return extractor


def _find(kind: str) -> type[Extractor]:
    """Find the class of an extractor; a user's own may be anything that can be called."""
    if ":" in kind:
        found = import_object(KEY, kind)
        if not callable(found):
            raise SettingError(
                KEY, kind, "cannot be called; must be a function or a class that maps images to features"
            )
        if not (isinstance(found, type) and issubclass(found, Extractor)):
            return Imported
    try:
        return EXTRACTORS.find(kind)
    except SettingError as error:
        raise SettingError(KEY, kind, f"{error.advice}; null for grids only") from None


def _options(given: Mapping[str, object], choice: type[Extractor] | None) -> dict[str, object]:
    """Give the extractor's options, without those that only other extractors have."""
    own = set() if choice is None else set(choice.model_fields)
    others = {name for kind in EXTRACTORS.kinds for name in EXTRACTORS.find(kind).model_fields}
    return {name: value for name, value in given.items() if name in own or name not in others}


def _refuse(options: Mapping[str, object], kind: str | None) -> None:
    for name, value in options.items():
        advice = f"{KEY}={'null' if kind is None else kind} has no options; leave it out"
        raise SettingError(f"evaluation.{name}", value, advice)


def _check_images(extractor: Extractor, key: str, images: int) -> None:
    if images < extractor.fewest:
        advice = f"too few to measure; generate at least {extractor.fewest}, or set {KEY}=null for grids only"
        raise SettingError(key, images, advice)


def _check_metric(extractor: Extractor) -> None:
    """Keep the names of the product's own distances, FID before all, for what they are."""
    if ":" not in extractor.kind:
        return
    taken = {EXTRACTORS.find(kind).model_construct(kind=kind).metric for kind in EXTRACTORS.kinds}
    if extractor.metric in taken or not extractor.metric.startswith("fd_"):
        advice = f"would be shown as {extractor.metric}, a built-in one's name; rename it"
        raise SettingError(KEY, extractor.kind, advice)

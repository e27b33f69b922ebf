"""Which arrays of an archive are images, and which their labels, by the names that people give them."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedphd.common.data.arrays.archive import ONLY, ArchiveError, Head

# Names of images, and of the labels that go with them; the first that are there are taken.
KNOWN: Mapping[str, tuple[str, ...]] = {
    "train_x": ("train_y",),
    "x_train": ("y_train",),
    "train_images": ("train_labels",),  # as MedMNIST
    "train_data": ("train_labels", "train_targets"),
    "images": ("labels",),
    "x": ("y",),
    "data": ("targets", "labels"),
    "arr_0": ("arr_1",),  # as np.savez calls arrays without a name
    ONLY: (),
}
HELD_OUT = ("test", "val", "valid")  # in the place of ``train``; of several, the first that is there is held out
SHOWN = 6  # names of an archive that an error lists


@dataclass(frozen=True)
class Part:
    """Images and their labels, by the names of their arrays; without labels, None."""

    images: str
    labels: str | None

    def __str__(self) -> str:
        """Name both."""
        return self.images if self.labels is None else f"{self.images} and {self.labels}"

    @property
    def verb(self) -> str:
        """Of one array "is", and of both "are"."""
        return "is" if self.labels is None else "are"


@dataclass(frozen=True)
class Parts:
    """What an archive has: the images to train on, those that it holds out itself, and names that are not used."""

    train: Part
    holdout: Part | None
    unused: tuple[str, ...]

    @property
    def all(self) -> list[Part]:
        """Those that are there."""
        return [self.train] if self.holdout is None else [self.train, self.holdout]


def find_parts(heads: Mapping[str, Head], images: str | None = None, labels: str | None = None) -> Parts:
    """Find the arrays of images and labels.

    Parameters
    ----------
    heads : Mapping[str, Head]
        The arrays.
    images, labels : str, optional
        The names that the user gives, instead of the usual ones.

    Returns
    -------
    Parts
        Names are compared without regard to capitals.

    Raises
    ------
    ArchiveError
        If there are none, or it is not plain which.
    """
    names = _Names(heads)
    train = _train(names, images, labels)
    holdout = _held_out(names, train)
    taken = {name for part in (train, holdout) if part is not None for name in (part.images, part.labels)}
    unused = tuple(name for name in heads if name not in taken)
    if train.labels is None:
        _check_unlabelled(heads, train, unused)
    return Parts(train, holdout, unused)


class _Names:
    """Names of arrays, found without regard to capitals."""

    def __init__(self, heads: Mapping[str, Head]) -> None:
        self.all = list(heads)
        self._by_small = {name.lower(): name for name in self.all} | {name: name for name in self.all}

    def find(self, name: str) -> str | None:
        return self._by_small.get(name) or self._by_small.get(name.lower())

    def need(self, name: str) -> str:
        found = self.find(name)
        if found is None:
            raise ArchiveError(f"lacks {name}; {self.told}")
        return found

    def first(self, names: tuple[str, ...]) -> str | None:
        return next((found for name in names if (found := self.find(name)) is not None), None)

    @property
    def told(self) -> str:
        more = f" and {len(self.all) - SHOWN} more" if len(self.all) > SHOWN else ""
        return f"it has {', '.join(self.all[:SHOWN]) or 'nothing'}{more}"


def _train(names: _Names, images: str | None, labels: str | None) -> Part:
    if images is not None:
        found = names.need(images)
        partners = KNOWN.get(images.lower(), ())
        return Part(found, names.need(labels) if labels is not None else names.first(partners))
    for known, partners in KNOWN.items():
        found_images = names.find(known)
        if found_images is not None:
            return Part(found_images, names.need(labels) if labels is not None else names.first(partners))
    if labelled := next((known for known, partners in KNOWN.items() if names.first(partners)), None):
        raise ArchiveError(f"lacks {labelled}; {names.told}; or give the name of its images by data.images")
    advice = "name its arrays by data.images and data.labels, or call them train_x and train_y"
    raise ArchiveError(f"has no images under a usual name; {names.told}; {advice}")


def _held_out(names: _Names, train: Part) -> Part | None:
    """Find what the archive itself holds out: arrays named as those to train on, but for one word."""
    small = train.images.lower()
    if "train" not in small:
        return None
    for word in HELD_OUT:
        images = names.find(small.replace("train", word))
        labels = None if train.labels is None else names.find(train.labels.lower().replace("train", word))
        if images is None and labels is None:
            continue
        if images is None or (labels is None and train.labels is not None):
            lacking = small if images is None else str(train.labels).lower()
            raise ArchiveError(f"lacks {lacking.replace('train', word)}; {names.told}")
        return Part(images, labels)
    return None


def _check_unlabelled(heads: Mapping[str, Head], train: Part, unused: tuple[str, ...]) -> None:
    """Refuse images without labels beside an array that may be their labels."""
    count = heads[train.images].shape[:1]
    likely = [name for name in unused if heads[name].shape[:1] == count and len(heads[name].shape) <= 2]
    if likely:
        raise ArchiveError(f"has {train.images} without labels of a usual name; are they {likely[0]}? give data.labels")

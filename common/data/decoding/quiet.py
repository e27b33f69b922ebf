"""Pillow's warnings, which are not for the user of a run."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Hide warnings of damaged tags and of large images: what comes with one is read all the same."""
    with warnings.catch_warnings():
        for category in (UserWarning, RuntimeWarning):  # the second: of large images
            warnings.simplefilter("ignore", category)
        yield

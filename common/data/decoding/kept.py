"""A survey that is kept on the disk, since each message of a deployed client would make it anew."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fedphd.common.data.decoding.facts import Decoding
from fedphd.common.data.decoding.formats import decoders
from fedphd.common.data.decoding.survey import Survey, stamped, survey_of
from fedphd.common.keeping.private_files import write_private

SUFFIX = ".survey"
LAYOUT = 1
DIGITS = 32  # of the hashes in the files' names
SURVEY = TypeAdapter(Survey)


def survey(paths: Sequence[str], decoding: Decoding, *, every_page: bool, measure: bool, folder: Path | None) -> Survey:
    """Look at files, unless that was done since the last of them changed; those that cannot be read are told of.

    Parameters
    ----------
    paths : Sequence[str]
        The files.
    decoding : Decoding
        Of which the window and the plane matter here.
    every_page, measure : bool
        As for `look_at_picture`.
    folder : Path or None
        Where surveys are kept; None: nowhere. A survey of which a file cannot be read is not kept.

    Raises
    ------
    SettingError
        If a library for one of the files is not installed.
    """
    files = tuple(stamped(path) for path in paths)
    if folder is None or not files:
        return survey_of(files, decoding, every_page, measure)
    options = repr((LAYOUT, decoders(), decoding, every_page, measure))
    name, key = _hash(os.path.commonpath(paths) + options), _hash(repr(files))
    file = folder / f"{name}-{key}{SUFFIX}"
    with suppress(OSError, ValidationError):
        known = SURVEY.validate_json(file.read_bytes())
        with suppress(OSError):  # a disk that can only be read
            os.utime(file)  # when it was used last
        return known
    found = survey_of(files, decoding, every_page, measure)
    if not found.failures:
        with suppress(OSError, ValueError):  # a full disk, or a name that is no text: it is made anew
            write_private(file, SURVEY.dump_json(found))
            for other in set(folder.glob(f"{name}-*{SUFFIX}")) - {file}:
                other.unlink(missing_ok=True)
    return found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:DIGITS]

"""What a client answers to the roll call: who it is and what it has, or why it cannot take part."""

import logging
from collections.abc import Sequence
from pathlib import Path

from fedphd.client.histogram import reported_counts
from fedphd.client.latents import check_numbering
from fedphd.client.local_data import local_data
from fedphd.client.place import Place
from fedphd.common.averaging.homogeneity import told_samples
from fedphd.common.data import check_fits, load
from fedphd.common.errors import FedPhDError
from fedphd.common.network.build import check_frozen
from fedphd.common.run.figures import one_line
from fedphd.common.wire.messages import Profile, Unable, as_line, as_notes

OWN_PATH = "DATA-PATH"  # stands for a client's own `data-path` in what travels

log = logging.getLogger(__name__)


def answer_to_roll_call(place: Place) -> Profile | Unable:
    """Look at the client's images, and tell their label counts.

    Images that cannot be used are an answer, not an error: the one line that says why travels to the user of the run,
    without where on its machine the client keeps them. Whatever else fails may be over when the client is asked again.
    """
    try:
        return _profile(place)
    except FedPhDError as error:
        return Unable(place.name, as_line(_without_path(str(error), place.data_path)))


def _profile(place: Place) -> Profile:
    config = place.config
    check_frozen(config.model)
    config.data.check_there()
    images = load(config.data, "train", config.seed)
    check_fits(images, config.model)
    local = local_data(config, place.index)
    check_numbering(place)
    if place.apart:  # what cannot be read is found before a round, and no later message has to decode
        local.train.pixels, local.held_out.pixels  # noqa: B018
    counts = reported_counts(config, place.index, place.folder)
    return Profile(place.name, told_samples(counts), list(local.classes), counts, _notes(place, images.notes))


def _notes(place: Place, notes: Sequence[str]) -> list[str]:
    """Give the notes that travel: none that are known where the run was started, or that count what noise is to hide.

    The latter stay in the client's own log.
    """
    if not place.apart:
        return []
    if place.config.privacy.histogram_epsilon is None:
        return as_notes(notes)
    for note in notes:
        log.info("stays here, because of privacy.histogram_epsilon: %s", one_line(note))
    return []


def _without_path(told: str, data_path: str) -> str:
    """Hide where images are, in the forms in which messages name it; what names no place, as ``.``, says nothing."""
    path = Path(data_path)
    for place in sorted({path, path.resolve()}, key=lambda form: len(str(form)), reverse=True):
        if data_path and len(place.parts) > 1:
            told = told.replace(str(place), OWN_PATH)
    return told

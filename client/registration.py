"""What a client answers to the roll call: who it is and what it has, or why it cannot take part."""

from fedphd.client.histogram import reported_counts
from fedphd.client.local_data import local_data
from fedphd.client.place import Place
from fedphd.common.averaging.homogeneity import told_samples
from fedphd.common.data import check_fits, load
from fedphd.common.errors import FedPhDError
from fedphd.common.wire.messages import Profile, Unable, as_line, as_notes

OWN_PATH = "DATA-PATH"  # stands for a client's own `data-path` in what travels


def answer_to_roll_call(place: Place) -> Profile | Unable:
    """Look at the client's images, and tell their label counts.

    Images that cannot be used are an answer, not an error: the one line that says why travels to the user of the run,
    without where on its machine the client keeps them. Whatever else fails may be over when the client is asked again.
    """
    try:
        return _profile(place)
    except FedPhDError as error:
        told = str(error)
        return Unable(place.name, as_line(told.replace(place.data_path, OWN_PATH) if place.data_path else told))


def _profile(place: Place) -> Profile:
    config = place.config
    config.data.check_there()
    images = load(config.data, "train", config.seed)
    check_fits(images, config.model)
    local = local_data(config, place.index)
    if place.apart:  # what cannot be read is found before a round, and no later message has to decode
        local.images  # noqa: B018
    counts = reported_counts(config, place.index, place.folder)
    notes = as_notes(images.notes) if place.apart else []  # else they are known where the run was started
    return Profile(place.name, told_samples(counts), list(local.classes), counts, notes)

"""The error of whoever does not have what a message builds on."""

from fedphd.common.errors import FedPhDError


class MissingStateError(FedPhDError):
    """The receiver does not have what a message builds on; the sender then sends the whole network."""

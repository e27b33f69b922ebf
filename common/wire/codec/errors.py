"""The error of data from others that cannot be decoded."""


class CodecError(ValueError):
    """Data that must not be used; the text says why."""

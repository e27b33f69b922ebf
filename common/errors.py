"""The errors that a user of FedPhD can cause, each told in one line."""


class FedPhDError(Exception):
    """Base of the errors whose text is meant for the user: it is shown without a traceback."""


class RegistrationError(FedPhDError):
    """A client or an edge did not register, or what it told cannot be used."""


class SettingError(FedPhDError):
    """A setting that cannot work.

    Parameters
    ----------
    key : str
        The setting's full name as on the command line, e.g. ``topology.edges``.
    value : object
        The value that was given.
    advice : str
        What is wrong with it and what would be right.
    """

    def __init__(self, key: str, value: object, advice: str) -> None:
        shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
        super().__init__(f"{key}={shown}: {advice}")
        self.key = key
        self.value = value
        self.advice = advice

    def __reduce__(self) -> tuple[type, tuple[str, object, str]]:
        """Rebuild from its three parts, since the message alone is not enough (pickled by Ray)."""
        return type(self), (self.key, self.value, self.advice)

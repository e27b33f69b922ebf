"""Ledger events that travel with a message."""

from flwr.app import ConfigRecord

from fedphd.common.run import forwarding
from fedphd.common.run.events import Event
from fedphd.common.wire import records
from fedphd.common.wire.records import MessageError


def read_events(record: ConfigRecord) -> list[Event]:
    """Read and check the entry ``events``.

    Raises
    ------
    MessageError
        If an event is of an unknown kind, or has an entry of a wrong type.
    """
    try:
        return forwarding.read_events(records.text(record, "events"))
    except ValueError as error:
        raise MessageError(str(error)) from None

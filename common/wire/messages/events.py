"""Ledger events that travel with a message."""

from flwr.app import ConfigRecord

from fedphd.common.run import events
from fedphd.common.run.ledger import Entry
from fedphd.common.wire import records
from fedphd.common.wire.records import MessageError


def read_events(record: ConfigRecord) -> list[Entry]:
    """Read and check the entry ``events``.

    Raises
    ------
    MessageError
        If an event is of an unknown kind, or has an entry of a wrong type.
    """
    try:
        return events.read_events(records.text(record, "events"))
    except ValueError as error:
        raise MessageError(str(error)) from None

"""An edge behind its spool, as its ServerApp serves it, and what may be asked of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flwr.app import RecordDict
from flwr.serverapp import Grid
from helpers import small_config

from fedphd.edge.aggregator import EdgeAggregator
from fedphd.edge.app import serve
from fedphd.edge.forwarding import ForwardingLedger
from fedphd.edge.spool import OrderFailedError, Spool


class ServedEdge:
    """What an edge's ServerApp of two clients is made of; another one on the same folder is the edge started again."""

    def __init__(self, folder: Path, *overrides: str) -> None:
        self.spool = Spool(folder)
        self.ledger = ForwardingLedger(folder / "ledger.jsonl")
        config = small_config("topology.clients=2", "topology.edges=1", *overrides)
        early, state, members = folder / "early", folder / "state", folder / "members.json"
        self.aggregator = EdgeAggregator("edge-0", config, self.ledger, early, state, members)

    @contextmanager
    def serving(self, grid: Grid) -> Iterator[Spool]:
        """Serve in a thread, until the end."""
        thread = threading.Thread(target=serve, args=(grid, self.aggregator, self.spool))
        with self.spool.serving():
            thread.start()
            try:
                yield Spool(self.spool.folder)
            finally:
                self.spool.end()
                thread.join()


def ask(spool: Spool, message_type: str, content: RecordDict) -> RecordDict:
    """Put an order and wait for its answer, as the gateway does."""
    order_id, pause = spool.put_order(message_type, content), threading.Event()
    while (answer := spool.take_answer(order_id)) is None:
        pause.wait(0.005)
    return answer


def failure(spool: Spool, message_type: str, content: RecordDict) -> str:
    with pytest.raises(OrderFailedError) as caught:
        ask(spool, message_type, content)
    return str(caught.value)

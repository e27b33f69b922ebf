"""The edge's ServerApp: serves what the gateway puts into the spool, until the run is over."""

import logging
import time
from pathlib import Path

from flwr.app import Context, RecordDict
from flwr.serverapp import Grid, ServerApp

from fedphd.common.config import from_run_config
from fedphd.common.run.logs import log_to
from fedphd.common.run.run_folder import LEDGER
from fedphd.common.wire.messages import END, FETCH, REGISTER, TASKS, TRAIN
from fedphd.edge.aggregator import EdgeAggregator
from fedphd.edge.forwarding import ForwardingLedger
from fedphd.edge.spool import EARLY, EDGE_KEY, SPOOL_KEY, STATE, Order, Spool

POLL = 0.1  # seconds between looks for an order

log = logging.getLogger(__name__)

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Work for one run of the root.

    Raises
    ------
    SpoolTakenError
        If another ServerApp is at it already.
    """
    edge, folder = str(context.run_config[EDGE_KEY]), Path(str(context.run_config[SPOOL_KEY]))
    config = from_run_config(context.run_config)
    spool = Spool(folder)
    log_to(folder / "edge.log")
    with spool.serving():
        log.info("%s serves %s", edge, folder)
        ledger = ForwardingLedger(folder / LEDGER)
        # Without keys a client that is started again is another node: who registered must not be relied on.
        members = folder / "members.json" if config.runtime.secure else None
        aggregator = EdgeAggregator(edge, config, ledger, folder / EARLY, folder / STATE, members)
        serve(grid, aggregator, spool)
        spool.clear()


def serve(grid: Grid, aggregator: EdgeAggregator, spool: Spool) -> None:
    """Answer orders, the newest first, until the spool's end."""
    while not spool.ended:
        order = spool.next_order()
        if order is None:
            time.sleep(POLL)
            continue
        try:
            answer = _work(grid, aggregator, spool, order)
        except Exception as error:  # the root decides what a failed edge means; the edge serves on
            log.exception("%s: order %s failed", aggregator.edge, order.id)
            spool.put_failure(order.id, f"{type(error).__name__}: {error}")
        else:
            spool.put_answer(order.id, answer)


def _work(grid: Grid, aggregator: EdgeAggregator, spool: Spool, order: Order) -> RecordDict:
    match order.message_type:
        case str(kind) if kind == REGISTER:
            return aggregator.register(grid)
        case str(kind) if kind == TRAIN:
            return aggregator.run_round(grid, order.content, spool.progress(order.id))
        case str(kind) if kind in TASKS:
            return aggregator.gather(grid, kind, order.content)
        case str(kind) if kind == FETCH:
            return aggregator.fetch(order.content)
    known = ", ".join((REGISTER, TRAIN, *TASKS, FETCH, END))
    raise ValueError(f"an edge does not answer '{order.message_type}' but {known}")

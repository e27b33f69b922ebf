"""The edge's face to the root: a ClientApp on a node of the root, which hands orders over to the edge's ServerApp.

Both sides use public Flower only: an order goes into the spool, the ServerApp's answer comes out of it.
When no ServerApp is alive, the gateway submits its run to the edge's SuperLink: so one submission at the
root starts the whole tree, and an edge whose ServerApp was killed heals.
"""

import logging
import os
import time
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedphd.common.config import from_run_config
from fedphd.common.config.load import CONFIG_KEY, RUN_DIR_KEY, RUN_ID_KEY, run_name
from fedphd.common.config.topology import edge_timeout
from fedphd.common.errors import FedPhDError
from fedphd.common.flower.control import Control
from fedphd.common.flower.home import FlowerHome
from fedphd.common.run.logs import log_to
from fedphd.edge.spool import EDGE_KEY, SPOOL_KEY, OrderFailedError, Spool, known_spools

QUICKEST_POLL, SLOWEST_POLL = 0.05, 0.5  # seconds between looks for the answer
POLL_SHARE = 0.02  # of the time waited so far
START_PATIENCE = 60.0  # seconds for a submitted ServerApp to show life
SUBMIT_AGAIN = 5.0  # seconds after a submission that failed

log = logging.getLogger(__name__)

app = ClientApp()


@app.query("register")
def register(message: Message, context: Context) -> Message:
    """Ask the edge for its roster: with this a run begins, or goes on after its root was lost."""
    spool = _spool(context)
    for other in known_spools(spool.folder.parent):
        if other.folder != spool.folder:  # one run at a time
            other.end()
            if not other.served:
                other.clear()
    spool.begin()
    return _forward(message, context, spool)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Let the edge run its edge rounds."""
    return _forward(message, context, _spool(context))


@app.train("local")
def train_local(message: Message, context: Context) -> Message:
    """Let clients of the edge train a model of their own."""
    return _forward(message, context, _spool(context))


@app.evaluate()
def draw(message: Message, context: Context) -> Message:
    """Let clients of the edge draw images."""
    return _forward(message, context, _spool(context))


@app.evaluate("assess")
def assess(message: Message, context: Context) -> Message:
    """Let clients of the edge say how good a model is for their own images."""
    return _forward(message, context, _spool(context))


@app.query("fetch")
def fetch(message: Message, context: Context) -> Message:
    """Give the root what one client gave."""
    return _forward(message, context, _spool(context))


@app.query("end")
def end(message: Message, context: Context) -> Message:
    """Tell the edge that the run is over."""
    _spool(context).end()
    return Message(RecordDict(), reply_to=message)


def _forward(message: Message, context: Context, spool: Spool) -> Message:
    """Put the order into the spool and wait for its answer.

    Raises
    ------
    OrderFailedError
        If the edge could not carry it out, or did not answer within the time of a root round.
    """
    log_to(None)
    order_id = spool.put_order(message.metadata.message_type, message.content)
    edge_run = EdgeRun(context, spool)
    started = time.monotonic()
    timeout = edge_timeout(from_run_config(context.run_config).topology)
    while (answer := spool.take_answer(order_id)) is None:
        if spool.ended:
            raise OrderFailedError(f"{edge_run.edge} has ended this run, or works for another one")
        if not spool.has_order(order_id):  # a ServerApp that was just ending has cleared it away
            spool.put_order(message.metadata.message_type, message.content)
        edge_run.keep_alive()
        waited = time.monotonic() - started
        if waited > timeout:
            spool.drop_order(order_id)
            raise OrderFailedError(f"{edge_run.edge} did not answer within {timeout:g} s")
        time.sleep(min(max(POLL_SHARE * waited, QUICKEST_POLL), SLOWEST_POLL))
    return Message(answer, reply_to=message)


def _spool(context: Context) -> Spool:
    """Open the spool of the root's run, which is the same after a resume."""
    return Spool(Path(str(context.node_config["spool"])) / run_name(context.run_config))


class EdgeRun:
    """The edge's ServerApp, seen from outside: alive, or to be submitted.

    Parameters
    ----------
    context : Context
        The gateway's: its node config says which edge this is, and where the edge's SuperLink is.
    spool : Spool
        What the ServerApp is to serve.
    """

    def __init__(self, context: Context, spool: Spool) -> None:
        node = context.node_config
        self.edge = str(node["edge-id"])
        self.spool = spool
        self._superlink, certificates = str(node["superlink"]), str(node.get("root-certificates", ""))
        self._certificates = Path(certificates) if certificates else None
        keys = (CONFIG_KEY, RUN_DIR_KEY, RUN_ID_KEY)
        self._run_config = {key: str(context.run_config.get(key, "")) for key in keys}
        self._run_config |= {EDGE_KEY: self.edge, SPOOL_KEY: str(spool.folder)}
        self._next_submission = 0.0

    def keep_alive(self) -> None:
        """Submit the edge's run if nobody serves the spool and no submission is on its way."""
        if time.monotonic() < self._next_submission or self.spool.served:
            return
        log.warning("%s: no ServerApp is alive; submitting one to %s", self.edge, self._superlink)
        try:
            run_id = self._submit()
        except FedPhDError as error:
            log.warning("%s: %s; trying again", self.edge, error)
            self._next_submission = time.monotonic() + SUBMIT_AGAIN
        else:
            log.info("%s: submitted run %s", self.edge, run_id)
            self._next_submission = time.monotonic() + START_PATIENCE

    def _submit(self) -> str:
        home = FlowerHome(Path(os.environ["FLWR_HOME"]) / "edge-control")
        home.connect_to(self._superlink, self._certificates)
        app = home.thin_app("fedphd-edge", "fedphd.edge.app:app", "fedphd.client.app:app", self._run_config)
        return Control(home).submit(app, self._run_config)

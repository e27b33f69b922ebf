"""The layout of messages on the wire. No other package knows the names of records and keys.

Each message is a dataclass with `write()` to a Flower `RecordDict` and `read()` from one. Reading trusts nothing: what
is missing, unknown, of the wrong type, too large or of another structure raises `MessageError`, whose text is the
reason that the ledger shows. The numbers of a model are checked when they are decoded (common/wire/codec/).

================  =================  ==========================================================
message           from -> to         content
================  =================  ==========================================================
`Profile`         client -> edge     id, images, classes, label counts, notes (the answer to ``query.register``)
`Unable`          client -> edge     id, and why it cannot take part (the other answer to the same query)
`Roster`          edge -> root       edge id, its clients' profiles, who cannot take part (answer to the same query)
`RoundOrder`      root -> edge       global model, who trains in which edge round, phase
`TrainOrder`      edge -> client     edge model, rounds, phase, which parts to report
`ClientUpdate`    client -> edge     trained parts, images, loss, seconds
`EdgeUpdate`      edge -> root       edge model and what happened in each edge round
`Errand`          root -> edge       let single clients train a local model, or draw images
`ClientErrand`    edge -> client     the same, for one client, who answers a `ClientUpdate` or a `Drawing`
`Gathered`        edge -> root       who gave what was asked for
`Fetch`           root -> edge       asks for what one client gave
================  =================  ==========================================================
"""

from fedphd.common.wire.messages.drawing import Drawing
from fedphd.common.wire.messages.errands import ClientErrand, Errand, Fetch, Gathered
from fedphd.common.wire.messages.models import content_bytes
from fedphd.common.wire.messages.names import DRAW, END, FETCH, LOCAL, REGISTER, TASKS, TRAIN
from fedphd.common.wire.messages.orders import RoundOrder, TrainOrder
from fedphd.common.wire.messages.registration import Profile, Roster, Unable, as_line, as_notes, read_answer
from fedphd.common.wire.messages.updates import ClientUpdate, EdgeRound, EdgeUpdate

__all__ = [
    "DRAW",
    "END",
    "FETCH",
    "LOCAL",
    "REGISTER",
    "TASKS",
    "TRAIN",
    "ClientErrand",
    "ClientUpdate",
    "Drawing",
    "EdgeRound",
    "EdgeUpdate",
    "Errand",
    "Fetch",
    "Gathered",
    "Profile",
    "Roster",
    "RoundOrder",
    "TrainOrder",
    "Unable",
    "as_line",
    "as_notes",
    "content_bytes",
    "read_answer",
]

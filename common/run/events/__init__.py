"""The events of the ledger: a frozen model for each, which writers fill in and readers match.

A new event is a class here, written with `Ledger.write`, and a table in `docs/run-folder.md`.
"""

from collections.abc import Mapping

from fedphd.common.run.events.correction import Correct, Draw, Pretrain
from fedphd.common.run.events.event import Event
from fedphd.common.run.events.hop import Accept, Lost, Note, Refuse, Register, Resend, Send
from fedphd.common.run.events.life import Checkpoint, Evaluate, Fail, Finish, Resume, Reuse, Start
from fedphd.common.run.events.rounds import Aggregate, Commit, Plan, Prune, Restart

LIFE = (Start, Resume, Reuse, Evaluate, Checkpoint, Finish, Fail)
HOP = (Register, Note, Send, Resend, Accept, Refuse, Lost)
ROUNDS = (Plan, Aggregate, Restart, Commit, Prune)
CORRECTION = (Pretrain, Draw, Correct)

EVENTS: Mapping[str, type[Event]] = {one.name: one for one in (*LIFE, *HOP, *ROUNDS, *CORRECTION)}

__all__ = [
    "EVENTS",
    "Accept",
    "Aggregate",
    "Checkpoint",
    "Commit",
    "Correct",
    "Draw",
    "Evaluate",
    "Event",
    "Fail",
    "Finish",
    "Lost",
    "Note",
    "Plan",
    "Pretrain",
    "Prune",
    "Refuse",
    "Register",
    "Resend",
    "Restart",
    "Resume",
    "Reuse",
    "Send",
    "Start",
]

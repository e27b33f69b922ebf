"""Answers that do not count, and how many must."""

from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, RecordDict
from helpers import NEVER, Crowd, Reply, SlowGrid, events, exact, packed
from small_edge import aggregator, files, model_of, order, two, update_of

from fedphd.common.averaging.quorum import QuorumError
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.messages import ClientUpdate, TrainOrder
from fedphd.common.wire.traffic import Traffic


def with_numbers(*numbers: float, kind: str = "float32", change: bool = False) -> Reply:
    """Report these numbers, whatever they are, as they would be coded."""
    data = np.array(numbers, {"float32": "<f4", "float16": "<f2", "int8": "i1"}[kind]).tobytes()
    return lambda update, task: replace(update, model=CodedModel(task.answer, kind, None, change, data)).write()


def with_array(array: Array, name: str = "weights") -> Reply:
    def write(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        content = update.write()
        content["model"] = ArrayRecord({name: array})
        return content

    return write


def with_changes(**changes: object) -> Reply:
    return lambda update, task: replace(update, **changes).write()


def without(name: str) -> Reply:
    def write(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        content = update.write()
        del content[name]
        return content

    return write


def failing(update: ClientUpdate, task: TrainOrder) -> RecordDict:
    raise MemoryError("too little memory")


UNSOUND: list[tuple[str, Reply, str]] = [
    ("lost", failing, "error 2: MemoryError('too little memory')"),
    ("refuse", with_changes(client="client-0"), "comes from 'client-0'"),
    ("refuse", with_changes(client="client-9"), "comes from 'client-9'"),
    ("refuse", with_changes(edge_round=3), "is for edge round 3, not 4"),
    ("refuse", with_changes(samples=31), "claims 31 images; 30 were registered"),
    ("refuse", with_changes(samples=0), "claims 0 images; 30 were registered"),
    ("refuse", with_changes(samples=-5), "'samples' must be a whole number of at least 0, not -5"),
    ("refuse", with_changes(loss=float("nan")), "'loss' must be a finite number, not nan"),
    ("refuse", with_changes(model=exact(packed(1.0))), "instead of"),
    ("refuse", with_changes(model=exact(packed(1.0, 2.0, name="v"))), "instead of"),
    ("refuse", with_changes(control=exact(packed(1.0, 2.0))), "unasked change of control variates"),
    ("refuse", with_numbers(np.nan, 0.0), "float32 data has numbers that are not finite"),
    ("refuse", with_numbers(0.0, -np.inf), "float32 data has numbers that are not finite"),
    ("refuse", with_numbers(np.inf, 0.0, kind="float16"), "float16 data has numbers that are not finite"),
    ("refuse", with_numbers(1.0), "float32 data has 4 bytes instead of 8"),
    ("refuse", with_numbers(*range(2500)), "float32 data has 10000 bytes instead of 8"),
    ("refuse", with_numbers(1, 2, kind="int8"), "int8 data has 2 bytes instead of 8"),  # no scale, so no codes
    ("refuse", with_numbers(1.0, 2.0, change=True), "is a change where weights were asked for"),
    ("refuse", with_array(Array(np.zeros(2, np.float32))), "unknown serialisation type 'numpy.ndarray'"),
    ("refuse", with_array(Array(np.zeros(2, np.float32)), "vector"), "no model"),
    ("refuse", without("model"), "no model"),
    ("refuse", without("report"), "no ConfigRecord 'report'"),
    ("refuse", without("structure"), "no ConfigRecord 'structure'"),
    ("refuse", lambda update, task: RecordDict(), "no ConfigRecord"),
    ("refuse", lambda update, task: task.write(), "unknown records"),
]


@pytest.mark.parametrize(("event", "reply", "reason"), UNSOUND, ids=[reason for _, _, reason in UNSOUND])
def test_unsound_answers_do_not_count(ledger: Ledger, event: str, reply: Reply, reason: str) -> None:
    crowd = Crowd([[10.0, 0.0], [0.0, 30.0], [0.0, 10.0]], [1.0, 100.0, 2.0], replies={1: reply})
    update = update_of(aggregator(ledger, 3).run_round(crowd.grid(), order([0, 1, 2])))
    assert model_of(update) == [1.5, 11.5]  # (10 * 1 + 10 * 2) / 20
    [one] = update.rounds
    assert (one.clients, one.samples) == (["client-0", "client-2"], 20)
    assert (one.down, one.up) == (Traffic(3, 6, 24), Traffic(2, 4, 16))
    assert update.q == [0.5, 0.5]  # of the two that counted
    [logged] = events(ledger, "refuse", "lost")
    assert reason in str(logged.pop("reason"))
    where = {"tier": "edge", "node": "edge-0", "round": 3, "edge_round": 4, "peer": "client-1"}
    assert logged == {"event": event} | where
    assert [accepted["peer"] for accepted in events(ledger, "accept")] == ["client-0", "client-2"]


def test_a_late_answer_does_not_count(ledger: Ledger) -> None:
    edge = aggregator(ledger, 2, "topology.round_timeout=0.3")
    grid = SlowGrid(two().grid(), {1: NEVER})
    update = update_of(edge.run_round(grid, order([0, 1])))
    assert model_of(update) == [5.0, 15.0]
    [lost] = events(ledger, "lost")
    assert (lost["peer"], lost["reason"]) == ("client-0", "error 4: no answer within 0.3 s")


def test_a_late_answer_does_not_count_in_the_next_round_either(ledger: Ledger) -> None:
    """Client 0's first answer is ready only in the second edge round, when its second one is awaited."""
    edge = aggregator(ledger, 2, "topology.round_timeout=0.3")

    class Late(SlowGrid):
        def pull_messages(self, message_ids):
            stale = [key for key, left in self._left.items() if left > 0] if len(self._left) > 4 else []
            for key in stale:
                self._left[key] = 0
            return super().pull_messages([*message_ids, *stale])

    grid = Late(two().grid(), {1: 50})
    update = update_of(edge.run_round(grid, order([0, 1], [0, 1])))
    assert [one.clients for one in update.rounds] == [["client-1"], ["client-0", "client-1"]]
    # 5 above the start, then (10 * (5 + 1) + 30 * (5 + 5)) / 40 = 9.
    assert model_of(update) == [9.0, 19.0]


def test_two_nodes_that_claim_one_client(ledger: Ledger) -> None:
    crowd = Crowd([[10.0, 0.0], [0.0, 30.0], [0.0, 30.0]], [1.0, 5.0, 1000.0], names={2: "client-1"})
    update = update_of(aggregator(ledger, 2).run_round(crowd.grid(), order([0, 1])))
    assert model_of(update) == [4.0, 14.0]
    assert len(events(ledger, "send")) == 2


def test_one_bad_client_cannot_stop_the_others_however_large_its_numbers(ledger: Ledger) -> None:
    """A loss that is finite, but whose weighted sum is not, once broke the ledger's line."""
    crowd = Crowd([[10.0, 0.0], [0.0, 30.0]], [1.0, 5.0], replies={1: with_changes(loss=1.7e308)})
    update = update_of(aggregator(ledger, 2).run_round(crowd.grid(), order([0, 1])))
    assert update.rounds[0].clients == ["client-0"]


# --- quorum -----------------------------------------------------------------------------------------


def crowd_of(clients: int, sound: int) -> Crowd:
    replies: dict[int, Reply] = dict.fromkeys(range(sound, clients), failing)
    return Crowd([[1.0, 1.0]] * clients, [1.0] * clients, replies=replies)


@pytest.mark.parametrize(("quorum", "clients", "needed"), [(1.0, 3, 3), (0.5, 4, 2), (0.5, 5, 3), (0.01, 5, 1)])
def test_quorum(ledger: Ledger, quorum: float, clients: int, needed: int) -> None:
    edge = aggregator(ledger, clients, f"topology.quorum={quorum}")
    everyone = list(range(clients))
    update = update_of(edge.run_round(crowd_of(clients, needed).grid(), order(everyone)))
    assert len(update.rounds[0].clients) == needed
    said = (
        f"edge-0: edge round 4: {needed - 1} of {clients} clients gave a sound update; "
        f"topology.quorum={quorum:g} needs {needed}"
    )
    with pytest.raises(QuorumError, match=said):
        edge.run_round(crowd_of(clients, needed - 1).grid(), order(everyone))


@pytest.mark.parametrize(("quorum", "clients", "needed"), [(0.28, 25, 7), (0.07, 100, 7)])
def test_a_quorum_is_not_rounded_up_twice(ledger: Ledger, quorum: float, clients: int, needed: int) -> None:
    assert quorum * clients > needed  # in floating point
    edge = aggregator(ledger, clients, f"topology.quorum={quorum}")
    update = update_of(edge.run_round(crowd_of(clients, needed).grid(), order(list(range(clients)))))
    assert len(update.rounds[0].clients) == needed


def test_nothing_stays_in_the_spool_after_a_failure(ledger: Ledger) -> None:
    edge = aggregator(ledger, 3, "topology.quorum=1")
    with pytest.raises(QuorumError):
        edge.run_round(
            Crowd([[1.0, 1.0]] * 3, [1.0] * 3, replies={0: failing}).grid(),  # 1 and 2 wait for 0
            order([0, 1, 2]),
        )
    assert files(edge.spool) == []

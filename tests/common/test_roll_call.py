"""Who is at which node: nodes that come late, fail, lie, stay silent or are restarted."""

from math import inf

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from scripted import Clock, Node, ScriptedGrid

import fedphd.common.flower.delivery
import fedphd.common.flower.roll_call
from fedphd.common.errors import RegistrationError
from fedphd.common.flower.delivery import Patience
from fedphd.common.flower.roll_call import RollCall
from fedphd.common.wire import records
from fedphd.common.wire.messages import REGISTER

FAILED = Error(2, "OSError: the disk is not there yet")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().set(monkeypatch, fedphd.common.flower.delivery, fedphd.common.flower.roll_call)


def says(name: str, fact: str = "fact") -> RecordDict:
    return RecordDict({"who": ConfigRecord({"name": name, "fact": fact})})


def read(content: RecordDict) -> tuple[str, str]:
    record = records.config(content, "who", "name fact")
    return records.text(record, "name"), records.text(record, "fact")


def call(*expected: str, failures: int = 3, query_timeout: float = 300.0) -> RollCall[str]:
    return RollCall("the caller", expected, read, failures, query_timeout)


def there(says_it_is: str, after: float = 1.0, **more: object) -> Node:
    """Make a node that answers soundly, however often it is asked."""
    return Node([(after, says(says_it_is))] * 9, **more)


def fails(roll: RollCall[str], grid: ScriptedGrid, timeout: float = 60.0) -> str:
    with pytest.raises(RegistrationError) as caught:
        roll.run(grid, timeout)
    return str(caught.value)


def test_those_who_are_expected_are_found_wherever_they_are(clock: Clock) -> None:
    grid = ScriptedGrid(clock, {7: there("b"), 8: there("stranger"), 9: Node([(5.0, says("a", "of a"))])})
    roll = call("a", "b")
    assert roll.missing == ["a", "b"]
    roll.run(grid, 60.0)
    assert (roll.nodes, roll.answers) == ({"a": 9, "b": 7}, {"a": "of a", "b": "fact"})
    assert roll.missing == []
    assert {message.metadata.message_type for _, message in grid.sent} == {REGISTER}


def test_who_is_complete_asks_nobody(clock: Clock) -> None:
    grid = ScriptedGrid(clock, {7: there("a")})
    roll = call("a")
    roll.run(grid, 60.0)
    roll.run(grid, 60.0)
    assert len(grid.sent) == 1


def test_nodes_that_come_late_are_asked_when_they_come(clock: Clock) -> None:
    late = there("b", online=[(50.0, inf)])
    grid = ScriptedGrid(clock, {7: there("a"), 8: late})
    roll = call("a", "b")
    roll.run(grid, 60.0)
    assert roll.nodes == {"a": 7, "b": 8}
    assert len(grid.times_sent_to(7)) == len(grid.times_sent_to(8)) == 1


def test_those_who_are_missing_at_the_end_are_named_with_all_troubles(clock: Clock) -> None:
    grid = ScriptedGrid(clock, {7: there("a"), 8: Node([(1.0, RecordDict())]), 9: there("a")})
    told = fails(call("a", "b", "c"), grid)
    assert told.startswith("the caller: b, c did not register within 60 s; ")
    assert "node 8 answered: no ConfigRecord 'who'" in told
    assert "node 9 answered: it says that it is a, as node 7 does" in told
    assert clock.seconds == pytest.approx(60.0, abs=1.0)


def test_a_node_that_is_only_starting_is_asked_again(clock: Clock) -> None:
    grid = ScriptedGrid(clock, {7: Node([(1.0, FAILED), (1.0, FAILED), (1.0, says("a"))])})
    roll = call("a")
    roll.run(grid, 60.0)
    assert roll.nodes == {"a": 7}


@pytest.mark.parametrize(("failures", "times"), [(1, ""), (3, " 3 times")])
def test_a_node_that_keeps_failing_ends_it(clock: Clock, failures: int, times: str) -> None:
    grid = ScriptedGrid(clock, {7: Node([(1.0, FAILED)] * 9), 8: there("b")})
    told = fails(call("a", "b", failures=failures), grid)
    assert told == f"the caller: node 7 failed to register{times}: OSError: the disk is not there yet"
    assert len(grid.times_sent_to(7)) == failures


def test_a_node_that_is_silent_is_asked_again(clock: Clock) -> None:
    grid = ScriptedGrid(clock, {7: Node([(999.0, says("a")), (1.0, says("a"))])})
    roll = call("a", query_timeout=10.0)
    roll.run(grid, 60.0)
    assert roll.nodes == {"a": 7}
    assert clock.seconds == pytest.approx(11.0, abs=1.0)


def test_nobody_is_waited_for_longer_than_registration_may_take(clock: Clock) -> None:
    told = fails(call("a"), ScriptedGrid(clock, {7: Node()}))
    assert told == "the caller: a did not register within 60 s; node 7 answered: no answer within 60 s"
    assert clock.seconds == pytest.approx(60.0, abs=1.0)


def test_a_restarted_node_is_asked_again_where_there_is_patience(clock: Clock) -> None:
    restarted = Node([(999.0, says("b")), (1.0, says("b"))], online=[(0, 5.0), (9.0, inf)])
    grid = ScriptedGrid(clock, {7: there("a", 20.0), 8: restarted})
    resent: list[Message] = []
    roll = call("a", "b", failures=1)
    roll.run(grid, 60.0, Patience(30.0, lambda message, _reason: resent.append(message)))
    assert roll.nodes == {"a": 7, "b": 8}
    assert [(one.metadata.dst_node_id, one.metadata.message_type) for one in resent] == [(8, REGISTER)]


# --- nodes with keys --------------------------------------------------------------------------------


def test_a_node_cannot_say_that_it_is_another_than_its_key_tells(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    liar, right = there("b", name="a"), there("b", 5.0, name="b")
    roll = call("a", "b")
    told = fails(roll, ScriptedGrid(clock, {7: liar, 8: right}))
    reason = "its key is that of a, but it says that it is b"
    assert told == f"the caller: a did not register within 60 s; node 7 answered: {reason}"
    assert roll.nodes == {"b": 8}
    assert f"the caller: node 7 is left out: {reason}" in caplog.text


def test_nodes_that_say_what_their_keys_tell(clock: Clock) -> None:
    roll = call("a", "b")
    roll.run(ScriptedGrid(clock, {7: there("a", name="a"), 8: there("b", name="b")}), 60.0)
    assert roll.nodes == {"a": 7, "b": 8}


def test_without_keys_the_first_node_that_claims_a_name_keeps_it(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    roll = call("a", "b")
    roll.run(ScriptedGrid(clock, {7: there("a", 3.0), 8: there("a", 2.0), 9: there("b", 4.0)}), 60.0)
    assert roll.nodes == {"a": 8, "b": 9}
    assert "node 7 is left out: it says that it is a, as node 8 does" in caplog.text


@pytest.mark.parametrize("at_once", [True, False])
def test_an_answer_can_end_it(clock: Clock, at_once: bool) -> None:
    """Those who were asked together are heard, unless it is to end at once; nobody else is waited for."""
    grid = ScriptedGrid(clock, {7: there("a"), 8: Node([(30.0, says("b"))]), 9: Node([(99.0, says("c"))])})
    roll = call("a", "b", "d", query_timeout=40.0)
    roll.ends, roll.at_once = lambda fact: fact == "fact", at_once
    roll.run(grid, 600.0)
    assert set(roll.nodes) == ({"a"} if at_once else {"a", "b"})
    assert clock.seconds == pytest.approx(1.0 if at_once else 40.0, abs=1.0)

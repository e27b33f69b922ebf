"""Grids of our own: what they share, the patient one, and the one within this process."""

from math import inf

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from scripted import Clock, Node, ScriptedGrid

import fedphd.common.flower.delivery
from fedphd.common.flower.delivery import NO_REPLY, NODE_GONE, Patience, deliver
from fedphd.common.flower.grids import DEFAULT_TIMEOUT, BaseGrid, PatientGrid
from fedphd.launch.runtimes.client_grid import InProcessGrid

OK = RecordDict({"x": ConfigRecord({"done": True})})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().set(monkeypatch, fedphd.common.flower.delivery)


def ask(*nodes: int) -> list[Message]:
    return [Message(RecordDict(), node, "train") for node in nodes]


def test_a_grid_of_our_own_belongs_to_the_run_below(clock: Clock) -> None:
    class Below(ScriptedGrid):
        @property
        def run(self) -> str:
            return "the run"

    below = Below(clock, {})
    assert PatientGrid(below, Patience(1.0, lambda _message, _reason: None)).run == "the run"
    with pytest.raises(RuntimeError, match="no Flower run"):
        _ = ScriptedGrid(clock, {}).run


@pytest.mark.parametrize(("timeout", "waited"), [(5.0, 5.0), (None, DEFAULT_TIMEOUT)])
def test_send_and_receive_delivers(clock: Clock, timeout: float | None, waited: float) -> None:
    grid = ScriptedGrid(clock, {2: Node([(1.0, OK)]), 3: Node()})
    sound, silent = grid.send_and_receive(ask(2, 3), timeout=timeout)
    assert (sound.metadata.src_node_id, silent.metadata.src_node_id, silent.error.code) == (2, 3, NO_REPLY)
    assert clock.seconds == pytest.approx(waited)


def test_our_grids_tell_nothing_of_their_nodes() -> None:
    with pytest.raises(NotImplementedError):
        BaseGrid.get_nodes(InProcessGrid(counting_app(), 2, {}))


def test_a_patient_grid_sends_again_what_flowers_strategies_send(clock: Clock) -> None:
    away_and_back = Node([(10.0, Error(NODE_GONE, "away")), (5.0, OK)], online=[(0, 10.0), (40.0, inf)])
    below = ScriptedGrid(clock, {7: away_and_back, 8: Node([(1.0, OK)])})
    resent: list[int] = []
    grid = PatientGrid(below, Patience(60.0, lambda message, _reason: resent.append(message.metadata.dst_node_id)))
    assert [one.metadata.src_node_id for one in grid.send_and_receive(ask(7, 8), timeout=100.0)] == [8, 7]
    assert resent == [7]


def test_a_patient_grid_carries_what_the_one_below_carries(clock: Clock) -> None:
    below = ScriptedGrid(clock, {7: Node([(0.0, OK)])})
    grid = PatientGrid(below, Patience(60.0, lambda _message, _reason: None))
    assert grid.get_node_ids() == [7]
    [message_id] = grid.push_messages(ask(7))
    [reply] = grid.pull_messages([message_id])
    assert reply.content is OK


def counting_app() -> ClientApp:
    app = ClientApp()

    @app.train()
    def train(message, context):
        if context.node_config["partition-id"] == 1:
            raise ValueError("no images")
        seen = context.state.config_records.get("seen", ConfigRecord({"times": 0}))
        context.state["seen"] = ConfigRecord({"times": seen["times"] + 1})
        return Message(RecordDict({"seen": context.state["seen"]}), reply_to=message)

    return app


def test_in_process_nodes_have_contexts_of_their_own() -> None:
    grid = InProcessGrid(counting_app(), 3, {"key": "value"})
    assert grid.get_node_ids() == [1, 2, 3]
    for times in (1, 2):
        replies = {one.metadata.src_node_id: one for one in deliver(grid, ask(1, 2, 3), 5.0)}
        assert replies[1].content["seen"]["times"] == times
        assert replies[3].content["seen"]["times"] == times
        assert replies[2].error.code == 2  # Flower's code for a ClientApp that raised
        assert "no images" in replies[2].error.reason


def test_in_process_grid_answers_for_unknown_nodes() -> None:
    [error] = deliver(InProcessGrid(counting_app(), 1, {}), ask(9), 5.0)
    assert error.has_error()


def test_in_process_replies_are_handed_out_once() -> None:
    grid = InProcessGrid(counting_app(), 1, {})
    ids = grid.push_messages(ask(1))
    assert len(grid.pull_messages([*ids, "another"])) == 1
    assert grid.pull_messages(ids) == []

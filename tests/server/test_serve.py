"""How a run ends at the root: its edges hear of it, and the ledger tells it, whatever happened."""

from pathlib import Path

import pytest
from flwr.app import Error, RecordDict
from helpers import events, profile, small_config
from scripted import Clock, Node, ScriptedGrid

import fedphd.common.flower.delivery
import fedphd.common.flower.roll_call
from fedphd.common.averaging.quorum import QuorumError
from fedphd.common.errors import RegistrationError, SettingError
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.messages import END, REGISTER, TRAIN, Roster
from fedphd.server.serve import serve

CLIENTS = [profile(index, [1.0] * 10) for index in range(4)]
OK = (1.0, RecordDict())
FULL = (1.0, Error(2, "OSError: the spool is full"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().set(monkeypatch, fedphd.common.flower.delivery, fedphd.common.flower.roll_call)


def registers(edge: str) -> tuple[float, RecordDict]:
    return 1.0, Roster(edge, CLIENTS).write()


def kinds(grid: ScriptedGrid, node: int) -> list[str]:
    return [one.metadata.message_type for _, one in grid.sent if one.metadata.dst_node_id == node]


def run(grid: ScriptedGrid, run_dir: Path) -> Ledger:
    """Serve a run that fails; give its ledger."""
    with pytest.raises((RegistrationError, QuorumError)) as caught:
        serve(lambda _ledger: grid, small_config(), run_dir)
    ledger = Ledger(run_dir / "ledger.jsonl")
    [fail] = events(ledger, "fail")
    assert fail["reason"] == str(caught.value)
    return ledger


def test_edges_hear_of_the_end_of_a_run_that_failed(clock: Clock, tmp_path: Path) -> None:
    nodes = {edge + 5: Node([registers(f"edge-{edge}"), FULL, OK]) for edge in (0, 1)}
    grid = ScriptedGrid(clock, nodes)
    ledger = run(grid, tmp_path)
    for node in nodes:
        assert kinds(grid, node) == [REGISTER, TRAIN, END]
    assert [event["reason"] for event in events(ledger, "lost")] == ["error 2: OSError: the spool is full"] * 2


def test_edges_hear_of_the_end_of_a_run_that_never_began(clock: Clock, tmp_path: Path) -> None:
    grid = ScriptedGrid(clock, {5: Node([registers("edge-0"), OK])})
    assert "edge-1 did not register" in str(events(run(grid, tmp_path), "fail")[0]["reason"])
    assert kinds(grid, 5) == [REGISTER, END]


def test_an_edge_that_does_not_hear_of_the_end_holds_up_nobody(
    clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grid = ScriptedGrid(clock, {5: Node([registers("edge-0"), FULL]), 6: Node([registers("edge-1"), FULL, OK])})
    run(grid, tmp_path)
    assert "node 5 did not hear of the run's end: no answer within 10 s" in caplog.text
    assert kinds(grid, 6)[-1] == END


def test_a_gateway_that_goes_away_and_comes_back_gets_its_order_again(clock: Clock, tmp_path: Path) -> None:
    restarted = Node([registers("edge-1"), (999.0, RecordDict()), FULL, OK], online=[(0.0, 5.0), (6.0, 999.0)])
    grid = ScriptedGrid(clock, {5: Node([registers("edge-0"), (30.0, FULL[1]), OK]), 6: restarted})
    ledger = run(grid, tmp_path)
    assert kinds(grid, 6) == [REGISTER, TRAIN, TRAIN, END]
    [resend] = events(ledger, "resend")
    assert (resend["round"], resend["peer"], resend["hop"]) == (1, "edge-1", "backbone")
    assert resend["payload_bytes"] == events(ledger, "send")[0]["payload_bytes"]


def test_a_folder_that_holds_a_run_is_left_alone(clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "round_0000").mkdir(parents=True)
    with pytest.raises(SettingError, match="already holds a run"):
        serve(lambda _ledger: pytest.fail("the edges were asked"), small_config(), tmp_path)
    assert not (tmp_path / "ledger.jsonl").exists()

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from helpers import NEVER, Crowd, SlowGrid, small_config

import fedphd.common.flower.roll_call
from fedphd.common.config import TopologyConfig
from fedphd.common.errors import RegistrationError
from fedphd.common.flower.grids import BaseGrid
from fedphd.common.wire.messages import REGISTER, Unable
from fedphd.edge.membership import Membership
from fedphd.launch.runtimes.client_grid import InProcessGrid


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedphd.common.flower.roll_call, "NODE_POLL", 0.01)


def topology(clients: int, *overrides: str, timeout: float = 10.0) -> TopologyConfig:
    size = [f"topology.clients={clients}", "topology.edges=1", f"topology.round_timeout={timeout}"]
    return small_config(*size, *overrides).topology


def crowd(clients: int, **more: dict[int, str]) -> Crowd:
    return Crowd([[float(i + 1), 0.0] for i in range(clients)], [0.0] * clients, **more)


class GrowingGrid(BaseGrid):
    """A grid whose nodes connect one by one, another one with each look."""

    def __init__(self, below: Grid) -> None:
        super().__init__(below)
        self.looks = 0

    def get_node_ids(self) -> list[int]:
        self.looks += 1
        return list(self.below.get_node_ids())[: self.looks]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        return list(self.below.push_messages(messages))

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return list(self.below.pull_messages(message_ids))


def test_everyone_registers() -> None:
    members = Membership("edge-0", topology(3))
    assert not members.complete
    members.register(crowd(3).grid())
    assert members.complete
    assert members.nodes == {"client-0": 1, "client-1": 2, "client-2": 3}
    assert [members.profiles[client].samples for client in members.expected] == [1, 2, 3]
    assert members.classes == ["a", "b"]
    np.testing.assert_array_equal(members.distribution("client-2"), [1.0, 0.0])


def test_nodes_that_connect_late() -> None:
    grid = GrowingGrid(crowd(4).grid())
    members = Membership("edge-0", topology(4))
    members.register(grid)
    assert members.complete
    assert grid.looks == 4


def test_ids_come_from_the_answers_not_from_the_nodes() -> None:
    members = Membership("edge-0", topology(2))
    members.register(crowd(2, names={0: "client-1", 1: "client-0"}).grid())
    assert members.nodes == {"client-0": 2, "client-1": 1}


def test_only_clients_whose_home_it_is_count() -> None:
    homes = small_config("topology.homes=[[0],[1],[0,1],[1]]").topology
    members = Membership("edge-1", homes)
    members.register(crowd(4).grid())
    assert members.expected == ["client-1", "client-2", "client-3"]
    assert members.nodes == {"client-1": 2, "client-2": 3, "client-3": 4}


def test_foreign_nodes_are_ignored() -> None:
    members = Membership("edge-0", topology(2))
    members.register(crowd(4, names={0: "stranger", 1: "client-0", 2: "client-1", 3: "client-17"}).grid())
    assert members.nodes == {"client-0": 2, "client-1": 3}


def test_the_first_node_that_claims_a_client_keeps_it(caplog: pytest.LogCaptureFixture) -> None:
    members = Membership("edge-0", topology(2))
    members.register(crowd(3, names={1: "client-0", 2: "client-1"}).grid())
    assert members.nodes == {"client-0": 1, "client-1": 3}
    assert members.profiles["client-0"].samples == 1
    assert "node 2 is left out: it says that it is client-0, as node 1 does" in caplog.text


def test_missing_clients_are_named() -> None:
    members = Membership("edge-0", topology(4, timeout=0.2))
    with pytest.raises(RegistrationError, match=r"edge-0: client-2, client-3 did not register within 0.2 s"):
        members.register(crowd(2).grid())


def test_silent_clients_are_named() -> None:
    members = Membership("edge-0", topology(2, timeout=0.2))
    with pytest.raises(RegistrationError, match=r"client-1 did not register"):
        members.register(SlowGrid(crowd(2).grid(), {2: NEVER}, REGISTER))


def test_clients_that_answer_when_the_time_is_over_still_complete_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 0.0, 0.0, 0.0, *[1e6] * 1000])
    monkeypatch.setattr(fedphd.common.flower.roll_call.time, "monotonic", lambda: next(now))
    members = Membership("edge-0", topology(2))
    members.register(crowd(2).grid())
    assert members.complete


def app_that_fails_at_first(failures: int, answer: str = "raise") -> ClientApp:
    app, sound, calls = ClientApp(), crowd(1), []

    @app.query("register")
    def register(message: Message, context: Context) -> Message:
        calls.append(context.node_id)
        if len(calls) > failures:
            return Message(sound.profile(0).write(), reply_to=message)
        if answer == "raise":
            raise OSError("the disk is not there yet")
        return Message(RecordDict(), reply_to=message)

    return app


def test_nodes_that_fail_are_asked_again() -> None:
    members = Membership("edge-0", topology(1))
    members.register(InProcessGrid(app_that_fails_at_first(2), 1, {}))
    assert members.complete


def test_a_client_that_keeps_failing_is_told_with_its_reason() -> None:
    members = Membership("edge-0", topology(1))
    with pytest.raises(RegistrationError, match=r"edge-0: node 1 failed to register 3 times: OSError"):
        members.register(InProcessGrid(app_that_fails_at_first(5), 1, {}))


def test_nodes_that_answer_nonsense_are_not() -> None:
    members = Membership("edge-0", topology(1, timeout=0.2))
    with pytest.raises(RegistrationError, match="client-0"):
        members.register(InProcessGrid(app_that_fails_at_first(1, "nonsense"), 1, {}))


def test_classes_agree_by_name() -> None:
    crowd = Crowd([[1.0, 3.0], [2.0, 0.0, 2.0]], [0.0, 0.0])
    crowd.classes = {0: ["10", "cat"], 1: ["9", "cat", "10"]}
    members = Membership("edge-0", topology(2))
    members.register(crowd.grid())
    assert members.classes == ["9", "10", "cat"]
    np.testing.assert_array_equal(members.distribution("client-0"), [0.0, 0.25, 0.75])
    np.testing.assert_array_equal(members.distribution("client-1"), [0.5, 0.5, 0.0])
    assert members.profiles["client-0"].classes == ["10", "cat"]  # as it told its other edges


def test_a_client_that_cannot_take_part_is_not_waited_for(tmp_path: Path) -> None:
    """... nor are those who have not come yet; when it is asked again, it may have mended its images."""
    crowd = Crowd([[1.0, 2.0], [3.0, 4.0]], [0.0, 0.0])
    crowd.unable = {1: "data.path=DATA-PATH/a.png: cannot be read"}
    members = Membership("edge-0", topology(3), tmp_path / "members.json")
    members.register(crowd.grid())
    assert members.unable == [Unable("client-1", "data.path=DATA-PATH/a.png: cannot be read")]
    assert not members.complete
    assert not (tmp_path / "members.json").exists()
    crowd.unable, crowd.counts, crowd.adds = {}, [*crowd.counts, [5.0, 6.0]], [0.0] * 3
    members.register(crowd.grid())
    assert members.complete
    assert members.unable == []
    assert Membership("edge-0", topology(3), tmp_path / "members.json").profiles == members.profiles

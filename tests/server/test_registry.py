import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Error, Message, RecordDict
from helpers import profile

from common.errors import RegistrationError
from common.flower.grids import BaseGrid
from common.flower.private import set_message_id
from common.messages import Profile, Roster
from server.registry import register


class RosterGrid(BaseGrid):
    """Edges that answer with the given contents; None stays silent, an Error fails."""

    def __init__(self, *rosters: Roster | RecordDict | Error | None) -> None:
        super().__init__()
        self.rosters = rosters
        self.replies: dict[str, Message] = {}

    def get_node_ids(self) -> list[int]:
        return [node + 10 for node in range(len(self.rosters))]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        [message] = messages
        message_id = f"to {message.metadata.dst_node_id}"
        set_message_id(message, message_id)
        roster = self.rosters[message.metadata.dst_node_id - 10]
        if roster is not None:
            content = roster.write() if isinstance(roster, Roster) else roster
            self.replies[message_id] = Message(content, reply_to=message)
        return [message_id]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return [self.replies.pop(i) for i in message_ids if i in self.replies]


A, B, C = profile(0, [3.0, 1.0]), profile(1, [0.0, 5.0]), profile(2, [2.0, 2.0])
EDGES = ["edge-0", "edge-1"]
# The topology's: client-1's first home is edge-1.
HOMES = {"client-0": ["edge-0"], "client-1": ["edge-1", "edge-0"], "client-2": ["edge-1"]}


def refused(*rosters: Roster | RecordDict | Error | None) -> str:
    with pytest.raises(RegistrationError) as caught:
        register(RosterGrid(*rosters), EDGES, HOMES, 0.2)
    return str(caught.value)


def test_edges_and_clients_in_the_order_of_their_names() -> None:
    # Edge 1 answers from the first node, and names its clients backwards.
    registry = register(RosterGrid(Roster("edge-1", [C, B]), Roster("edge-0", [B, A])), EDGES, HOMES, 5.0)
    assert list(registry.nodes.items()) == [("edge-0", 11), ("edge-1", 10)]
    assert list(registry.profiles.items()) == [("client-0", A), ("client-1", B), ("client-2", C)]
    assert registry.homes == {"client-0": ["edge-0"], "client-1": ["edge-1", "edge-0"], "client-2": ["edge-1"]}
    assert registry.classes == ["a", "b"]
    np.testing.assert_array_equal(registry.distribution("client-0"), [0.75, 0.25])


def test_strangers_are_left_out() -> None:
    grid = RosterGrid(Roster("edge-0", [A, B, C, profile(9, [1.0, 1.0])]), Roster("edge-1", [C]), Roster("edge-7", [A]))
    registry = register(grid, EDGES, HOMES, 5.0)
    assert list(registry.profiles) == list(HOMES)
    assert registry.homes["client-0"] == ["edge-0"]


def test_the_missing_are_named() -> None:
    assert refused(Roster("edge-0", [A, C])) == "not registered: edge-1, client-1"


def test_two_nodes_that_claim_one_edge() -> None:
    text = refused(Roster("edge-0", [A, B]), Roster("edge-1", [C]), Roster("edge-0", [A, B]))
    assert text == "two nodes say that they are edge-0"


def test_a_client_must_tell_all_its_edges_the_same() -> None:
    liar = Profile("client-0", 100, A.classes, [50.0, 50.0])
    assert "client-0 told edge-1 something else" in refused(Roster("edge-0", [A, B]), Roster("edge-1", [liar, C]))


def test_classes_must_be_the_same_everywhere() -> None:
    other = Profile("client-2", 4, ["a", "c"], [2.0, 2.0])
    assert "same classes" in refused(Roster("edge-0", [A, B]), Roster("edge-1", [other]))


def test_edges_that_fail_say_why() -> None:
    reason = "edge-0: client-1 did not register within 5 s"
    assert reason in refused(Roster("edge-1", [C]), Error(2, reason))
    assert "no answer within 0.2 s" in refused(Roster("edge-0", [A, B]), None)


def test_unsound_rosters_are_told() -> None:
    broken = Roster("edge-0", [A]).write()
    broken["roster"]["profiles"] = "[[]]"
    assert refused(broken) == "an edge's roster cannot be used: not a record: []"


def test_the_report_reads_counts_and_homes(tmp_path: Path) -> None:
    registry = register(RosterGrid(Roster("edge-0", [A, B]), Roster("edge-1", [B, C])), EDGES, HOMES, 5.0)
    registry.save(tmp_path / "partition.json")
    assert json.loads((tmp_path / "partition.json").read_text()) == {
        "class_names": ["a", "b"],
        "clients": {
            "client-0": {"counts": [3.0, 1.0], "homes": ["edge-0"]},
            "client-1": {"counts": [0.0, 5.0], "homes": ["edge-1", "edge-0"]},
            "client-2": {"counts": [2.0, 2.0], "homes": ["edge-1"]},
        },
    }

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Error, Message, RecordDict
from helpers import events, profile, small_config
from scripted import Clock, Node, ScriptedGrid

import fedphd.common.flower.delivery
import fedphd.common.flower.roll_call
import fedphd.server.registry
from fedphd.common.config import TopologyConfig
from fedphd.common.errors import RegistrationError
from fedphd.common.flower.grids import BaseGrid
from fedphd.common.flower.private import set_message_id
from fedphd.common.run.events import Register as Registered
from fedphd.common.run.json_lines import read_lines
from fedphd.common.run.ledger import Entry, Ledger, read_entry
from fedphd.common.wire.messages import Profile, Roster, Unable
from fedphd.server.registry import check_compared, register


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedphd.common.flower.roll_call, "NODE_POLL", 0.01)
    monkeypatch.setattr(fedphd.server.registry, "edge_timeout", lambda _topology: 0.0)


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


def topology(timeout: float = 5.0) -> TopologyConfig:
    """Two edges; client-1's first home is edge-1."""
    homes = "topology.homes=[[0],[1,0],[1]]"
    return small_config("topology.clients=3", homes, f"topology.round_timeout={timeout}").topology


def refused(ledger: Ledger, *rosters: Roster | RecordDict | Error | None) -> str:
    with pytest.raises(RegistrationError) as caught:
        register(RosterGrid(*rosters), topology(0.2), ledger)
    return str(caught.value)


def test_edges_and_clients_in_the_order_of_their_names(ledger: Ledger) -> None:
    # Edge 1 answers from the first node, and names its clients backwards.
    registry = register(RosterGrid(Roster("edge-1", [C, B]), Roster("edge-0", [B, A])), topology(), ledger)
    assert list(registry.nodes.items()) == [("edge-0", 11), ("edge-1", 10)]
    assert list(registry.profiles.items()) == [("client-0", A), ("client-1", B), ("client-2", C)]
    assert registry.homes == {"client-0": ["edge-0"], "client-1": ["edge-1", "edge-0"], "client-2": ["edge-1"]}
    assert registry.classes == ["a", "b"]
    np.testing.assert_array_equal(registry.distribution("client-0"), [0.75, 0.25])


def test_strangers_are_left_out(ledger: Ledger) -> None:
    grid = RosterGrid(Roster("edge-0", [A, B, C, profile(9, [1.0, 1.0])]), Roster("edge-1", [C]), Roster("edge-7", [A]))
    registry = register(grid, topology(), ledger)
    assert list(registry.profiles) == ["client-0", "client-1", "client-2"]
    assert registry.homes["client-0"] == ["edge-0"]


def test_the_missing_are_named(ledger: Ledger) -> None:
    assert refused(ledger, Roster("edge-0", [A, C])) == "root: edge-1 did not register within 0.2 s"
    assert refused(ledger, Roster("edge-0", [A]), Roster("edge-1", [C])) == "not registered: client-1"


def test_the_first_node_that_claims_an_edge_keeps_it(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    grid = RosterGrid(Roster("edge-0", [A, B]), Roster("edge-0", [A]), Roster("edge-1", [C]))
    assert register(grid, topology(), ledger).nodes == {"edge-0": 10, "edge-1": 12}
    assert "node 11 is left out: it says that it is edge-0, as node 10 does" in caplog.text


def test_a_client_must_tell_all_its_edges_the_same(ledger: Ledger) -> None:
    liar = Profile("client-0", 100, A.classes, [50.0, 50.0])
    told = refused(ledger, Roster("edge-0", [A, B]), Roster("edge-1", [liar, C]))
    assert "client-0 told edge-1 something else" in told


def test_classes_agree_by_name(ledger: Ledger) -> None:
    """Each edge tells label shares over the classes of its own clients; the root over those of all."""
    other = Profile("client-2", 4, ["c", "b"], [1.0, 3.0])
    registry = register(RosterGrid(Roster("edge-0", [A, B]), Roster("edge-1", [other, B])), topology(), ledger)
    assert registry.classes == ["a", "b", "c"]
    assert [registry.profiles[f"client-{index}"].counts for index in range(3)] == [[3, 1, 0], [0, 5, 0], [0, 3, 1]]
    assert registry.told_by("edge-0") == ["a", "b"]
    assert registry.shares("edge-0", [0.25, 0.75]) == [0.25, 0.75, 0.0]
    assert registry.shares("edge-1", [0.0, 0.5, 0.5]) == [0.0, 0.5, 0.5]


def test_classes_that_may_be_one_are_noted(ledger: Ledger) -> None:
    """... of the client that comes later, and only where it could be a mistake."""
    capital = Profile("client-2", 4, ["A", "x"], [1.0, 3.0])
    register(RosterGrid(Roster("edge-0", [A, B]), Roster("edge-1", [capital, B])), topology(), ledger)
    [note] = events(ledger, "note")
    assert (note["peer"], str(note["text"])[:35]) == ("client-2", "WARNING: its A and client-0's a dif")


def test_weights_by_labels_need_all_classes_at_each_edge(ledger: Ledger) -> None:
    other = Profile("client-2", 4, ["c", "b"], [1.0, 3.0])
    registry = register(RosterGrid(Roster("edge-0", [A, B]), Roster("edge-1", [other, B])), topology(), ledger)
    check_compared(registry, small_config("weighting=samples").weighting)
    by_labels = small_config(
        "weighting=homogeneity", "+weighting.edge.a=1.0", "weighting.edge.kind=homogeneity"
    ).weighting
    with pytest.raises(RegistrationError, match=r"^no client of edge-0 has images of class c, .* data.classes$"):
        check_compared(registry, by_labels)


def test_the_users_list_of_classes_is_kept(ledger: Ledger) -> None:
    grid = RosterGrid(Roster("edge-0", [A, B]), Roster("edge-1", [C]))
    assert register(grid, topology(), ledger, ["a", "b"]).classes == ["a", "b"]
    for classes, told in (
        (["a", "x"], "names the class 'b', and"),
        (["a", "b", "c"], "does not name all classes, and"),
    ):
        with pytest.raises(RegistrationError, match=rf"^client-0 {told} data.classes is {', '.join(classes)}$"):
            register(grid, topology(), ledger, classes)


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (["a", "x"], "the class 'x' where client-0 names the class 'b'"),
        (["b", "a"], "the class 'b' where client-0 names the class 'a'"),
        (["a"], "no further class where client-0 names the class 'b'"),
        (["a", "b", "x"], "the class 'x' where client-0 names no further class"),
    ],
)
def test_parts_of_one_set_need_the_same_copy_of_it(ledger: Ledger, classes: list[str], told: str) -> None:
    """... also where each edge's own clients agree."""
    other = Profile("client-2", len(classes), classes, [1.0] * len(classes))
    grid = RosterGrid(Roster("edge-0", [A, B]), Roster("edge-1", [other]))
    with pytest.raises(RegistrationError, match=rf"^client-2 names {told}, and clients that share one set need"):
        register(grid, topology(), ledger, alike=True)
    sound = RosterGrid(Roster("edge-0", [A, B]), Roster("edge-1", [C]))
    assert register(sound, topology(), ledger, alike=True).classes == ["a", "b"]


def test_notes_of_clients_come_into_the_ledger_once(ledger: Ledger) -> None:
    noted = replace(B, notes=["3 hidden files left out", "12 bits"])
    register(RosterGrid(Roster("edge-0", [A, noted]), Roster("edge-1", [noted, C])), topology(), ledger)
    assert [(one["node"], one["peer"], one["text"]) for one in events(ledger, "note")] == [
        ("root", "client-1", "3 hidden files left out"),
        ("root", "client-1", "12 bits"),
    ]


def test_a_client_that_cannot_take_part_ends_it_with_its_line(ledger: Ledger) -> None:
    """... at once, though another edge is silent."""
    first = Roster("edge-0", [A], unable=[Unable("client-1", "data.path=DATA-PATH/x.png: cannot be read")])
    told = refused(ledger, first, None)
    assert told == "client-1 cannot take part: data.path=DATA-PATH/x.png: cannot be read"


def test_of_many_that_cannot_take_part_the_first_are_told(ledger: Ledger) -> None:
    unable = [Unable(f"client-{index}", f"reason {index}") for index in range(5)]
    told = refused(ledger, Roster("edge-0", [], unable=unable), Roster("edge-1", [C]))
    assert told.startswith("client-0 cannot take part: reason 0; client-1 cannot take part: reason 1; client-2 ")
    assert told.endswith("; nor can client-3, client-4")


def test_edges_that_fail_say_why(ledger: Ledger) -> None:
    reason = "edge-0: client-1 did not register within 5 s"
    assert reason in refused(ledger, Roster("edge-1", [C]), Error(2, reason))
    assert re.search(r"no answer within 0\.[12]\d* s", refused(ledger, Roster("edge-0", [A, B]), None))


def test_unsound_rosters_are_told(ledger: Ledger) -> None:
    broken = Roster("edge-0", [A]).write()
    broken["roster"]["profiles"] = "[[]]"
    told = refused(ledger, broken)
    assert told == "root: edge-0, edge-1 did not register within 0.2 s; node 10 answered: not a record: []"


def test_what_edges_noted_while_they_registered_comes_into_the_roots_ledger(ledger: Ledger) -> None:
    noted = Registered(time=12.5, clients=["client-0", "client-1"])
    register(RosterGrid(Roster("edge-0", [A, B], [noted]), Roster("edge-1", [B, C])), topology(), ledger)
    assert [read_entry(line) for line in read_lines(ledger.path)] == [Entry("edge", "edge-0", noted)]


def test_an_edge_that_comes_late_is_waited_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock().set(monkeypatch, fedphd.common.flower.delivery, fedphd.common.flower.roll_call)
    late = Node([(1.0, Roster("edge-1", [B, C]).write())], online=[(55.0, inf)])
    grid = ScriptedGrid(clock, {10: Node([(1.0, Roster("edge-0", [A, B]).write())]), 11: late})
    assert register(grid, topology(60.0), ledger).nodes == {"edge-0": 10, "edge-1": 11}


def test_a_gateway_that_was_restarted_is_asked_again_and_the_ledger_tells(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock().set(monkeypatch, fedphd.common.flower.delivery, fedphd.common.flower.roll_call)
    answers = [(999.0, RecordDict()), (1.0, Roster("edge-1", [B, C]).write())]
    restarted = Node(answers, online=[(0.0, 5.0), (9.0, inf)])
    grid = ScriptedGrid(clock, {10: Node([(1.0, Roster("edge-0", [A, B]).write())]), 11: restarted})
    register(grid, topology(60.0), ledger)
    [resend] = events(ledger, "resend")
    assert (resend["tier"], resend["peer"], resend["reason"]) == ("root", "node 11", "the node was restarted")


def test_the_report_reads_counts_and_homes(ledger: Ledger, tmp_path: Path) -> None:
    registry = register(RosterGrid(Roster("edge-0", [A, B]), Roster("edge-1", [B, C])), topology(), ledger)
    registry.save(tmp_path / "partition.json")
    assert json.loads((tmp_path / "partition.json").read_text()) == {
        "class_names": ["a", "b"],
        "clients": {
            "client-0": {"counts": [3.0, 1.0], "homes": ["edge-0"]},
            "client-1": {"counts": [0.0, 5.0], "homes": ["edge-1", "edge-0"]},
            "client-2": {"counts": [2.0, 2.0], "homes": ["edge-1"]},
        },
    }

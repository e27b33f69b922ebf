"""The root's errands: local models, gathered when the first is wanted, and images, of which some may be missing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict
from flwr.serverapp import Grid
from helpers import Crowd, events, exact, packed, three_parts
from small_root import HOMES, START, Run, crowd, lane

from fedphd.common.wire.messages import Assessment, ClientErrand, ClientUpdate, Drawing, Gathered
from fedphd.common.wire.parts import PARTS
from fedphd.edge.aggregator import EdgeAggregator
from fedphd.server.errands import ErrandError

CLIENTS = ["client-0", "client-1", "client-2", "client-3"]
NETWORK = three_parts([0.0], [10.0, 10.0], [20.0, 20.0, 20.0])


class Failing(Crowd):
    """Clients of which some fail on errands."""

    failing: tuple[int, ...] = ()

    def local(self, index: int, errand: ClientErrand) -> ClientUpdate:
        return self._unless_failing(index, super().local(index, errand))

    def drawing(self, index: int, errand: ClientErrand) -> Drawing:
        return self._unless_failing(index, super().drawing(index, errand))

    def assessment(self, index: int, errand: ClientErrand) -> Assessment:
        return self._unless_failing(index, super().assessment(index, errand))

    def _unless_failing(self, index, answer):  # type: ignore[no-untyped-def]
        if index in self.failing:
            raise OSError("no disk")
        return answer


def run_of(folder: Path, *overrides: str, failing: tuple[int, ...] = (), **more: object) -> Run:
    sound = crowd()
    run = Run(folder, HOMES, *overrides, clients=Failing(sound.counts, sound.adds), **more)  # type: ignore[arg-type]
    run.clients.failing = failing  # type: ignore[attr-defined]
    return run


def tasks(run: Run, event: str, tier: str) -> list[object]:
    return [one["peer"] for one in events(run.ledger, event) if one.get("task") and one["tier"] == tier]


class SpoilingEdge(EdgeAggregator):
    """An edge that gives something else than what a client gave."""

    spoil: Callable[[RecordDict], RecordDict]

    def fetch(self, content: RecordDict) -> RecordDict:
        return self.spoil(super().fetch(content))


class BrokenEdge(EdgeAggregator):
    """An edge that fails at errands."""

    def gather(self, grid: Grid, task: str, content: RecordDict) -> RecordDict:
        raise OSError("the spool is full")


class Impostor(EdgeAggregator):
    """An edge that says it is another."""

    def gather(self, grid: Grid, task: str, content: RecordDict) -> RecordDict:
        return replace(Gathered.read(super().gather(grid, task, content)), edge="edge-0").write()


def replace_edge(run: Run, kind: type[EdgeAggregator]) -> EdgeAggregator:
    """Put another edge in the place of edge 1."""
    old = run.edges[1]
    run.grid._edges[2] = new = kind(old.edge, old.config, old.ledger, old.spool, old.folder)
    return new


def spoil(run: Run, change: Callable[[RecordDict], RecordDict]) -> None:
    """Let edge 1 spoil what it gives."""
    edge = replace_edge(run, SpoilingEdge)
    edge.spoil = change  # type: ignore[attr-defined]


# --- local models -----------------------------------------------------------------------------------


def test_local_models_are_gathered_once_and_fetched_one_by_one(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    models = run.errands().local_models(CLIENTS, START)
    assert events(run.ledger, "send") == []  # nobody asked for a model yet
    assert models("client-2").vector.tolist() == [2.0, 12.0]
    assert sorted(tasks(run, "accept", "edge")) == CLIENTS  # all worked at once
    assert tasks(run, "accept", "root") == ["client-2"]
    assert [models(client).vector.tolist() for client in CLIENTS] == [[add, 10 + add] for add in (1.0, 4.0, 2.0, 7.0)]
    assert tasks(run, "send", "root") == ["edge-0", "edge-1"]
    assert len(tasks(run, "send", "edge")) == 4


def test_only_those_whose_models_are_wanted_work(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.errands().local_models(["client-3"], START)("client-3")
    assert tasks(run, "send", "edge") == ["client-3"]
    assert tasks(run, "send", "root") == ["edge-1"]


def test_local_models_are_the_methods_traffic(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    models = run.errands().local_models(CLIENTS, START)
    for client in CLIENTS:
        models(client)
    # 2 numbers of 4 bytes: down to 2 edges and 4 clients, and up from each client over both hops.
    assert lane(run, "backbone_down") == (2, 4, 16)
    assert lane(run, "access_down") == lane(run, "access_up") == lane(run, "backbone_up") == (4, 8, 32)


def test_local_models_in_a_flat_topology(tmp_path: Path) -> None:
    run = Run(tmp_path, "topology.edges=0")
    assert run.errands().local_models(CLIENTS, START)("client-3").vector.tolist() == [7.0, 17.0]
    assert lane(run, "backbone_down") == lane(run, "backbone_up") == (0, 0, 0)
    assert lane(run, "access_down") == (4, 8, 32)


def test_a_client_without_a_local_model(tmp_path: Path) -> None:
    run = run_of(tmp_path, failing=(1,))
    models = run.errands().local_models(CLIENTS, START)
    assert models("client-0").vector.tolist() == [1.0, 11.0]
    with pytest.raises(ErrandError, match="client-1 gave no local model; see the ledger, and resume the run"):
        models("client-1")
    [lost] = events(run.ledger, "lost")
    assert (lost["node"], lost["peer"], lost["task"]) == ("edge-0", "client-1", "local")
    assert "no disk" in str(lost["reason"])


def test_an_edge_that_fails(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    replace_edge(run, BrokenEdge)
    models = run.errands().local_models(CLIENTS, START)
    assert models("client-1").vector.tolist() == [4.0, 14.0]
    with pytest.raises(ErrandError, match="client-2 gave no local model"):
        models("client-2")
    [lost] = events(run.ledger, "lost")
    assert (lost["tier"], lost["peer"], lost["task"]) == ("root", "edge-1", "local")
    assert "the spool is full" in str(lost["reason"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda update: replace(update, client="client-3"), "comes from 'client-3'"),
        (lambda update: replace(update, model=exact(packed(1.0))), "instead of"),
        (lambda update: replace(update, model=replace(update.model, data=b"1234")), "has 4 bytes instead of 8"),
        (lambda update: replace(update, model=replace(update.model, change=True)), "is a change where weights"),
    ],
)
def test_a_local_model_that_cannot_be_used(
    tmp_path: Path, change: Callable[[ClientUpdate], ClientUpdate], reason: str
) -> None:
    run = run_of(tmp_path)
    spoil(run, lambda content: change(ClientUpdate.read(content, START.structure)).write())
    models = run.errands().local_models(CLIENTS, START)
    assert models("client-0").vector.tolist() == [1.0, 11.0]
    with pytest.raises(ErrandError, match=f"client-2's local model cannot be used: .*{reason}"):
        models("client-2")


def test_a_local_model_that_is_gone(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    models = run.errands().local_models(CLIENTS, START)
    models("client-2")
    for file in (tmp_path / "edges" / "edge-1").rglob("*client-3*"):
        file.unlink()
    with pytest.raises(ErrandError, match=r"client-3's local model cannot be used: .*edge-1 has nothing of client-3"):
        models("client-3")


def test_local_models_start_from_what_they_are_told(tmp_path: Path) -> None:
    """Also in a run that is long past it: the set may have to be completed after a resume."""
    run = run_of(tmp_path)
    run.rounds(2)
    models = run.errands().local_models(["client-0"], packed(100.0, 200.0))
    assert models("client-0").vector.tolist() == [101.0, 201.0]


# --- images -----------------------------------------------------------------------------------------


def test_every_client_draws(tmp_path: Path) -> None:
    run = run_of(tmp_path, "exchange=udec", start=NETWORK)
    run.rounds(1)
    before = dict(run.state.traffic)
    drawings = list(run.errands().drawings(3))
    assert [drawing.client for drawing in drawings] == CLIENTS
    for index, drawing in enumerate(drawings):
        np.testing.assert_array_equal(drawing.images, np.full((3, 1, 8, 8), index, np.uint8))
    assert run.state.traffic == before  # what only measures is not the method's traffic
    sent = [event for event in events(run.ledger, "send") if event.get("task") == "draw"]
    assert {event["parameters"] for event in sent} == {3}  # the decoder, since all had their first contact
    assert {event["payload_bytes"] for event in events(run.ledger, "accept") if event.get("task")} == {3 * 64}


def test_a_client_that_fails_is_left_out(tmp_path: Path) -> None:
    run = run_of(tmp_path, "exchange=udec", start=NETWORK, failing=(0, 3))
    assert [drawing.client for drawing in run.errands().drawings(2)] == ["client-1", "client-2"]
    lost = events(run.ledger, "lost")
    assert sorted((one["node"], one["peer"], one["task"]) for one in lost) == [  # edges work at once
        ("edge-0", "client-0", "draw"),
        ("edge-1", "client-3", "draw"),
    ]


def test_images_that_the_edge_spoiled_or_lost_are_left_out(tmp_path: Path) -> None:
    run = run_of(tmp_path, "exchange=udec", start=NETWORK)

    def change(content: RecordDict) -> RecordDict:
        drawing = Drawing.read(content, (2, 1, 8, 8))
        if drawing.client == "client-2":
            raise OSError("no disk")
        return replace(drawing, images=drawing.images[:1]).write()

    def rename(content: RecordDict) -> RecordDict:
        return replace(Drawing.read(content, (2, 1, 8, 8)), client="client-0").write()

    spoil(run, change)
    assert [drawing.client for drawing in run.errands().drawings(2)] == ["client-0", "client-1"]
    refused = [event for event in events(run.ledger, "lost", "refuse") if event["tier"] == "root"]
    told = [(event["event"], event["peer"], event["task"]) for event in refused]
    assert told == [("lost", "client-2", "draw"), ("refuse", "client-3", "draw")]
    assert "no disk" in str(refused[0]["reason"])
    assert "must be uint8 of shape (2, 1, 8, 8)" in str(refused[1]["reason"])
    spoil(run, rename)
    assert [drawing.client for drawing in run.errands().drawings(2)] == ["client-0", "client-1"]
    assert str(events(run.ledger, "refuse")[-1]["reason"]) == "comes from 'client-0'"


def test_an_edge_that_fails_gets_the_whole_network_the_next_time(tmp_path: Path) -> None:
    run = run_of(tmp_path, "exchange=udec", start=NETWORK)
    run.rounds(1)
    sound = run.edges[1]
    replace_edge(run, BrokenEdge)
    assert [drawing.client for drawing in run.errands().drawings(2)] == ["client-0", "client-1"]
    run.grid._edges[2] = sound
    assert [order.download.parts for order in run.orders()] == [("decoder",), PARTS]


def test_an_edge_that_fails_while_it_only_measures_is_sent_what_it_would_be_without(tmp_path: Path) -> None:
    run = run_of(tmp_path, "exchange=udec", start=NETWORK)
    run.rounds(1)
    sound = run.edges[1]
    replace_edge(run, BrokenEdge)
    assert [told.client for told in run.errands().assessments()] == ["client-0", "client-1"]
    run.grid._edges[2] = sound
    assert [order.download.parts for order in run.orders()] == [("decoder",), ("decoder",)]


def test_an_edge_that_gathers_in_anothers_name_is_refused(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    replace_edge(run, Impostor)
    models = run.errands().local_models(CLIENTS, START)
    with pytest.raises(ErrandError, match="client-2 gave no local model"):
        models("client-2")
    [refused] = events(run.ledger, "refuse")
    assert (refused["peer"], refused["task"], refused["reason"]) == ("edge-1", "local", "comes from 'edge-0'")


def test_images_in_a_flat_topology_cross_no_backbone(tmp_path: Path) -> None:
    run = Run(tmp_path, "topology.edges=0", "exchange=udec", start=NETWORK)
    assert [drawing.client for drawing in run.errands().drawings(2)] == CLIENTS
    for event in events(run.ledger, "send", "accept"):
        assert (event["payload_bytes"] == 0) == (event["encoded_bytes"] == 0) == (event["hop"] == "backbone")


def test_one_picture_is_in_memory_at_a_time(tmp_path: Path) -> None:
    run = run_of(tmp_path, "exchange=udec", start=NETWORK)
    drawings = run.errands().drawings(2)
    assert next(drawings).client == "client-0"
    assert tasks(run, "accept", "root") == ["client-0"]
    assert len(list(drawings)) == 3


# --- what clients say of the model ------------------------------------------------------------------

GENERATED = np.arange(3 * 64, dtype=np.uint8).reshape(3, 1, 8, 8)


def test_every_client_assesses_the_model_that_is_evaluated(tmp_path: Path) -> None:
    run = run_of(tmp_path, "ema_decay=0.5")
    run.rounds(2)
    before = dict(run.state.traffic)
    told = list(run.errands().assessments())
    assert [one.client for one in told] == CLIENTS
    assert run.state.best is run.state.ema
    assert run.state.best.vector.mean() != run.state.model.vector.mean()
    assert {one.loss[0] for one in told} == {float(run.state.best.vector.mean())}
    assert {one.distances for one in told} == {None}
    assert run.state.traffic == before  # what only measures is not the method's traffic
    assert tasks(run, "accept", "root") == CLIENTS
    assert {one["task"] for one in events(run.ledger, "send") if one.get("task")} == {"assess"}
    assert {one["payload_bytes"] for one in events(run.ledger, "accept") if one.get("task")} == {0}


def test_clients_compare_the_roots_images(tmp_path: Path) -> None:
    class Seeing(Failing):
        def assessment(self, index: int, errand: ClientErrand) -> Assessment:
            assert errand.generated is not None
            np.testing.assert_array_equal(errand.generated, GENERATED)
            return super().assessment(index, errand)

    run = Run(tmp_path, HOMES, clients=Seeing(crowd().counts, crowd().adds))
    told = list(run.errands().assessments(3, GENERATED))
    assert [one.distances.nearest for one in told if one.distances] == [[float(index)] * 3 for index in range(4)]


def test_clients_assess_with_their_own_parts(tmp_path: Path) -> None:
    run = run_of(tmp_path, "exchange=udec", "ema_decay=0.5", start=NETWORK)
    run.rounds(1)
    told = list(run.errands().assessments(2))
    assert [one.client for one in told] == CLIENTS
    sent = [event for event in events(run.ledger, "send") if event.get("task") == "assess"]
    assert {event["parameters"] for event in sent} == {3}  # the decoder: the rest is each client's own
    assert len({one.loss[0] for one in told}) == 4


def test_who_fails_or_tells_what_cannot_be_is_left_out(tmp_path: Path) -> None:
    run = run_of(tmp_path, failing=(1,))

    def change(content: RecordDict) -> RecordDict:
        told = Assessment.read(content)
        return replace(told, loss=[1.0]).write() if told.client == "client-2" else content

    spoil(run, change)
    assert [one.client for one in run.errands().assessments()] == ["client-0", "client-3"]
    left_out = [(one["event"], one["peer"], one["task"]) for one in events(run.ledger, "lost", "refuse")]
    assert left_out == [("lost", "client-1", "assess"), ("refuse", "client-2", "assess")]
    assert "1 numbers instead of 10" in str(events(run.ledger, "refuse")[0]["reason"])


def test_assessing_in_a_flat_topology(tmp_path: Path) -> None:
    run = Run(tmp_path, "topology.edges=0")
    assert [one.client for one in run.errands().assessments(3, GENERATED)] == CLIENTS

"""Edges whose answers do not count, and what a round is without them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict
from helpers import events, exact, packed
from small_root import HOMES, START, Forge, Run, crowd, lane

from fedphd.common.averaging.quorum import QuorumError
from fedphd.common.flower.delivery import deliver
from fedphd.common.network.packing import PackedModel
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.messages import ClientUpdate, EdgeUpdate, TrainOrder
from fedphd.server.state import GlobalState

BY_SCORE = ["weighting=homogeneity", "weighting.root.a=1200", "weighting.root.unit=image"]
NOT_FINITE = np.array([np.inf, 2.0], "<f4").tobytes()

# --- what does not count ----------------------------------------------------------------------------


def failing(update: EdgeUpdate) -> RecordDict:
    raise OSError("the spool is full")


def changed(**changes: object) -> Forge:
    return lambda update: replace(update, **changes).write()


def changed_round(**changes: object) -> Forge:
    return lambda update: replace(update, rounds=[replace(one, **changes) for one in update.rounds]).write()


UNSOUND: list[tuple[str, Forge, str]] = [
    ("lost", failing, "error 2: OSError: the spool is full"),
    ("refuse", changed(edge="edge-0"), "comes from 'edge-0'"),
    ("refuse", changed(root_round=7), "is for root round 7, not 1"),
    ("refuse", changed(rounds=[]), "has 0 edge rounds, not 1"),
    ("refuse", changed(q=[0.5, 0.5]), "has label fractions of 2 classes, not 4"),
    ("refuse", changed(q=[1e200] * 4), "'q' must be"),
    ("refuse", changed(model=exact(packed(1.0, 2.0, name="v"))), "instead of"),
    ("refuse", changed(model=CodedModel(START.structure, "float32", None, False, NOT_FINITE)), "not finite"),
    ("refuse", changed(model=replace(exact(START), change=True)), "is a change where weights were asked for"),
    ("refuse", changed(control=exact(START)), "unasked change of control variates"),
    ("refuse", changed_round(samples=501), "counts 501 images; its clients have 500, 0 were not planned for it"),
    ("refuse", changed_round(clients=["client-0", "client-3"]), "1 were not planned for it"),
    ("refuse", changed_round(clients=["client-0", "client-3"], samples=200), "1 were not planned for it"),
    ("refuse", changed_round(clients=["client-9"], samples=0, loss=None), "1 were not planned for it"),
    ("refuse", changed_round(clients=["client-2", "client-2"]), "has a name twice"),
    ("refuse", changed_round(samples=-5), "must be a whole number of at least 0, not -5"),
    ("refuse", changed_round(loss=None), "images and no loss"),
    ("refuse", lambda update: RecordDict(), "no ConfigRecord 'report'"),
]


@pytest.mark.parametrize(("event", "forge", "reason"), UNSOUND, ids=[reason for _, _, reason in UNSOUND])
def test_an_unsound_edge_is_left_out(tmp_path: Path, event: str, forge: Forge, reason: str) -> None:
    run = Run(tmp_path, HOMES, forge=forge)
    run.rounds(1)
    assert run.model == [3.0, 13.0]
    [logged] = [line for line in events(run.ledger, "refuse", "lost") if line["tier"] == "root"]
    assert reason in str(logged.pop("reason"))
    where = {"tier": "root", "node": "root", "round": 1, "edge_round": None, "peer": "edge-1"}
    assert logged == {"event": event} | where
    [commit] = events(run.ledger, "commit")
    assert (commit["edges"], commit["weights"]) == (["edge-0"], {"edge-0": 1.0})
    assert (lane(run, "backbone_down"), lane(run, "backbone_up")) == ((2, 4, 16), (1, 2, 8))
    assert (run.state.latest.clients, run.state.latest.samples) == (2, 300)


def test_an_edge_that_replays_its_old_answer(tmp_path: Path) -> None:
    kept: list[RecordDict] = []

    def replay(update: EdgeUpdate) -> RecordDict:
        kept.append(update.write())
        return kept[0]

    run = Run(tmp_path, HOMES, forge=replay)
    run.rounds(2)
    [refused] = [line for line in events(run.ledger, "refuse") if line["tier"] == "root"]
    assert (refused["round"], refused["reason"]) == (2, "is for root round 1, not 2")
    assert run.model == [6.625, 16.625]  # 3.625, then edge 0's 3


def test_too_few_edges(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, "topology.quorum=0.51", forge=failing, since=2)
    run.rounds(1)
    before = run.state.model
    with pytest.raises(QuorumError, match=r"root round 2: 1 of 2 edges .*; topology.quorum=0.51 needs 2"):
        run.rounds(1)
    assert (run.state.round, run.state.model) == (1, before)
    assert len(events(run.ledger, "commit")) == 1
    assert list((tmp_path / "root").glob("*")) == []


def test_an_edge_without_its_own_quorum_is_lost(tmp_path: Path) -> None:
    def refuse(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        raise OSError("no disk")

    clients = crowd()
    clients.replies = dict.fromkeys((2, 3), refuse)
    run = Run(tmp_path, HOMES, clients=clients)
    run.rounds(1)
    assert run.model == [3.0, 13.0]
    [lost] = [line for line in events(run.ledger, "lost") if line["tier"] == "root"]
    assert "QuorumError: edge-1: edge round 0: 0 of 2 clients gave a sound update" in str(lost["reason"])


def test_a_round_commits_once(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES)
    replies = list(deliver(run.grid, run.messages(), 20.0))
    run.strategy.aggregate_train(1, replies)
    committed = run.state.model
    with pytest.raises(QuorumError, match="0 of 2 edges"):
        run.strategy.aggregate_train(1, replies)
    assert (run.state.round, run.state.model) == (1, committed)
    reasons = {line["reason"] for line in events(run.ledger, "refuse")}
    assert reasons == {"is for root round 1, not 2"}


def test_the_order_in_which_edges_answer_does_not_matter(tmp_path: Path) -> None:
    models = []
    for name, turn in (("a", 1), ("b", -1)):
        clients = crowd()
        clients.adds = [0.1, 1e10, -1e10, 0.3]
        run = Run(tmp_path / name, HOMES, *BY_SCORE, clients=clients)
        run.strategy.aggregate_train(1, list(deliver(run.grid, run.messages(), 20.0))[::turn])
        models.append(run.state.model)
    assert models[0].hash == models[1].hash


def test_edges_at_which_nobody_trained_do_not_count(tmp_path: Path) -> None:
    run = Run(tmp_path, "topology.homes=[[0],[0],[0],[0,1]]", *BY_SCORE)  # fixed: all at edge 0
    run.rounds(1)
    # (100 * 1 + 200 * 4 + 300 * 2 + 200 * 7) / 800
    assert run.model == [3.625, 13.625]
    assert events(run.ledger, "commit")[0]["weights"] == {"edge-0": 1.0, "edge-1": 0.0}


def test_state_advances_without_touching_the_old_models() -> None:
    state = GlobalState(0, START)
    first = PackedModel(START.structure, np.array([4.0, 0.0], np.float32))
    state.advance(first, 0.5)
    state.advance(PackedModel(START.structure, np.array([0.0, 8.0], np.float32)), 0.5)
    np.testing.assert_array_equal(state.ema.vector, [2.0, 4.0])
    np.testing.assert_array_equal(first.vector, [4.0, 0.0])
    assert state.round == 2

"""SCAFFOLD at the root: how c moves, and who is told what."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict
from helpers import SHARED, Crowd, events, exact, packed, small_config, three_parts
from small_root import HOMES, Run, crowd, lane

from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.network.pruning import prune_like
from fedphd.common.training.seeding import numpy_rng
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.messages import ClientUpdate, EdgeUpdate, TrainOrder
from fedphd.common.wire.parts import restrict
from fedphd.server.assignment import final_rounds
from fedphd.server.pruning_schedule import load_unet

SCAFFOLD = "objective=control_variates"


def control(run: Run) -> list[float] | None:
    return None if run.state.control is None else run.state.control.vector.tolist()


def test_c_moves_by_the_mean_change_over_all_clients(tmp_path: Path) -> None:
    """Karimireddy et al. 2020, Algorithm 1, line 17: c + 1/N sum; the changes are 1, 4, 2 and 7, N is 4."""
    run = Run(tmp_path, HOMES, SCAFFOLD)
    run.rounds(1)
    assert control(run) == [3.5, 3.5]
    run.rounds(1)
    assert control(run) == [7.0, 7.0]


def test_absent_clients_count_as_no_change(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, SCAFFOLD, "topology.participation=0.5")
    run.rounds(1)
    trained = [int(client[-1]) for one in run.plan() for clients in one.values() for client in clients]
    assert len(trained) == 2
    assert control(run) == [sum(crowd().adds[client] for client in trained) / 4] * 2


def test_each_client_counts_once_in_a_root_round(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, SCAFFOLD, "topology.edge_rounds=3")
    run.rounds(1)
    assert control(run) == [3.5, 3.5]


def test_a_client_that_goes_from_edge_to_edge_counts_where_it_was_last(tmp_path: Path) -> None:
    run = Run(tmp_path, SCAFFOLD, "assignment=random", "topology.edge_rounds=3")
    run.rounds(1)
    assert control(run) == [3.5, 3.5]
    plan, orders = run.plan(), events(run.ledger, "accept")
    last = {client: (number, edge) for number, one in enumerate(plan) for edge, own in one.items() for client in own}
    with_change = {
        str(event["peer"]): (event["edge_round"], event["node"])
        for event in orders
        if event["hop"] == "access" and event["parameters"] == 4
    }
    assert with_change == last
    assert any(len({edge for one in plan for edge, own in one.items() if client in own}) > 1 for client in last)


def test_final_rounds() -> None:
    plan = [
        {"edge-0": ["a", "b"], "edge-1": ["c"]},
        {"edge-0": ["c"], "edge-1": ["a"]},
        {"edge-0": [], "edge-1": ["a"]},
    ]
    assert final_rounds(plan) == [
        {"edge-0": ["b"], "edge-1": []},
        {"edge-0": ["c"], "edge-1": []},
        {"edge-0": [], "edge-1": ["a"]},
    ]
    assert final_rounds([]) == []


def test_orders_bring_c_and_the_final_rounds(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, SCAFFOLD, "topology.edge_rounds=2")
    first = run.orders()[0]
    assert first.control is None  # zero
    assert first.final == [[], ["client-0", "client-1"]]
    run.rounds(1)
    second = run.orders()[1]
    assert second.control is not None
    assert second.control.decode().vector.tolist() == [3.5, 3.5]
    assert second.final == [[], ["client-2", "client-3"]]


def test_without_scaffold_nobody_is_told_of_it(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES)
    run.rounds(1)
    order = run.orders()[0]
    assert (order.control, order.final, run.state.control) == (None, None, None)


def test_traffic_by_hand(tmp_path: Path) -> None:
    """2 numbers a model; c goes down from round 2 on, its changes up from each client and each edge."""
    run = Run(tmp_path, HOMES, SCAFFOLD)
    run.rounds(2)
    assert lane(run, "access_down") == (8, 4 * 2 + 4 * 4, 96)
    assert lane(run, "access_up") == (8, 8 * 4, 128)
    assert lane(run, "backbone_down") == (4, 2 * 2 + 2 * 4, 48)
    assert lane(run, "backbone_up") == (4, 4 * 4, 64)


def as_change(update: EdgeUpdate) -> CodedModel:
    assert update.control is not None
    return replace(update.control, change=True)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (as_change, "is a change where weights were asked for"),
        (lambda update: exact(packed(5e30, 0.0)), "a change of control variates is beyond 1e+30"),  # of 4 clients
        (lambda update: exact(packed(1.0)), "float32 data has 4 bytes instead of 8"),
    ],
)
def test_an_edge_that_does_not_count_moves_c_by_nothing(
    tmp_path: Path, make: Callable[[EdgeUpdate], CodedModel], reason: str
) -> None:
    run = Run(tmp_path, HOMES, SCAFFOLD, forge=lambda update: replace(update, control=make(update)).write())
    run.rounds(1)
    assert control(run) == [1.25, 1.25]  # (1 + 4) / 4
    assert reason in str(events(run.ledger, "refuse")[0]["reason"])


@pytest.mark.parametrize(
    ("final", "change", "reason"),
    [
        (True, False, "no change of control variates"),
        (False, True, "unasked change of control variates"),
        (False, False, None),
    ],
)
def test_c_got_the_change_of_whoever_is_noted_as_counted(
    tmp_path: Path, final: bool, change: bool, reason: str | None
) -> None:
    """Edge 1 says that its clients counted in their last edge round, or that it lost them there."""

    def forge(update: EdgeUpdate) -> RecordDict:
        first, last = update.rounds
        rounds = [first, last if final else replace(last, clients=[], samples=0, loss=None)]
        return replace(update, rounds=rounds, control=update.control if change else None).write()

    run = Run(tmp_path, HOMES, SCAFFOLD, "topology.edge_rounds=2", forge=forge)
    run.rounds(1)
    assert [event["reason"] for event in events(run.ledger, "refuse")] == ([] if reason is None else [reason])
    assert len(events(run.ledger, "commit")[0]["edges"]) == (2 if reason is None else 1)  # type: ignore[arg-type]
    assert control(run) == [1.25, 1.25]
    assert run.state.counted == {"client-0": 2, "client-1": 2}


def test_changes_of_clients_that_did_not_count_are_not_summed(tmp_path: Path) -> None:
    def refuse(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        raise OSError("no disk")

    clients = crowd()
    clients.replies = {3: refuse}
    run = Run(tmp_path, HOMES, SCAFFOLD, clients=clients)
    run.rounds(1)
    assert control(run) == [1.75, 1.75]  # (1 + 4 + 2) / 4


def test_whoever_answers_first_the_sum_is_the_same(tmp_path: Path) -> None:
    hashes = set()
    for name, turn in (("a", 1), ("b", -1)):
        clients = crowd()
        clients.adds = [0.1, 1e8, -1e8, 0.3]
        run = Run(tmp_path / name, HOMES, SCAFFOLD, clients=clients)
        run.strategy.aggregate_train(1, run.replies()[::turn])
        assert run.state.control is not None
        hashes.add(run.state.control.hash)
    assert len(hashes) == 1


def test_c_is_of_what_travels(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, SCAFFOLD, "exchange=udec", start=three_parts([0.0], [10.0], [20.0]))
    run.rounds(2)
    assert control(run) == [7.0]
    assert run.model == [0.0, 10.0, 20.0 + 2 * 3.625]


@pytest.mark.parametrize("kind", ["full", "udec"])
def test_c_is_pruned_with_the_model(tmp_path: Path, kind: str) -> None:
    start = pack(build_unet(small_config().model, 0).state_dict())
    overrides = [f"exchange={kind}", "pruning=sparse_then_prune", "pruning.sparse_rounds=1", "rounds=3"]
    clients = Crowd(crowd().counts, [0.25] * 4)
    run = Run(tmp_path, HOMES, SCAFFOLD, *overrides, start=start, clients=clients)
    shared = restrict(start.structure, SHARED[kind])
    before = PackedModel(shared, numpy_rng(0, "test").standard_normal(shared.size, np.float32))
    run.state.control = before
    run.rounds(1)
    after, pruning = run.state.control, run.state.lineage.pruning
    assert pruning is not None
    whole = PackedModel(start.structure, np.zeros(start.structure.size, np.float32))
    moved = whole.overlay(PackedModel(shared, before.vector + np.float32(0.25)))
    narrow = pack(prune_like(load_unet(run.config, moved), pruning).state_dict())
    assert after.hash == narrow.select(restrict(run.state.model.structure, SHARED[kind])).hash
    run.rounds(1)
    np.testing.assert_array_equal(run.state.control.vector, after.vector + np.float32(0.25))

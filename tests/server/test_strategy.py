"""The root's rounds by hand: weights, averages, bytes, orders."""

from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from helpers import events
from small_root import HOMES, Run, crowd, lane

from fedphd.common.wire.messages import ClientUpdate, RoundOrder, TrainOrder
from fedphd.server import checkpoint
from fedphd.server.state import warmed_up

BY_SCORE = ["weighting=homogeneity", "weighting.root.a=1200", "weighting.root.unit=image"]

# --- a round by hand --------------------------------------------------------------------------------
# Edge 0's average is 3 above the start, edge 1's 4: see `crowd`.


def test_weights_by_samples(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES)
    run.rounds(1)
    assert run.model == [3.625, 13.625]  # (300 * 3 + 500 * 4) / 800
    assert run.state.round == 1
    [commit] = events(run.ledger, "commit")
    assert commit["weights"] == {"edge-0": 0.375, "edge-1": 0.625}
    # q_0 = (1, 1, 2, 2) / 6 at a distance of 1/6; q_1 = (1, 1, 0, 0) / 2 at one of 1/2.
    assert commit["homogeneity"] == {"edge-0": 1.833333, "edge-1": 1.5}
    # Client i reports 1 + i: (100 * 1 + 200 * 2 + 300 * 3 + 200 * 4) / 800
    assert commit["loss"] == run.state.latest.loss == 2.75
    assert (run.state.latest.clients, run.state.latest.samples) == (4, 800)


def test_weights_by_homogeneity(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, *BY_SCORE)
    run.rounds(1)
    # u_0 = 300 + 1200 * 11/6 = 2500, u_1 = 500 + 1200 * 1.5 = 2300; (2500 * 3 + 2300 * 4) / 4800
    np.testing.assert_allclose(run.state.model.vector, [16700 / 4800, 10 + 16700 / 4800], rtol=1e-7)
    assert events(run.ledger, "commit")[0]["weights"] == {"edge-0": 0.520833, "edge-1": 0.479167}


def test_edge_rounds_count_once_each(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, "topology.edge_rounds=3", "training.epochs=2")
    run.rounds(1)
    assert run.model == [3 * 3.625, 10 + 3 * 3.625]
    assert (run.state.latest.clients, run.state.latest.samples) == (4, 3 * 800)
    assert (run.state.latest.client_epochs, run.state.latest.image_passes) == (4 * 3 * 2, 800 * 3 * 2)


def test_rounds_go_on_from_the_committed_model(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES)
    run.rounds(2)
    assert run.model == [7.25, 17.25]
    assert [commit["round"] for commit in events(run.ledger, "commit")] == [1, 2]


def test_bytes_by_hand(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, "topology.edge_rounds=3")
    run.rounds(2)
    # A model is 8 bytes. Access: 2 root rounds, 3 edge rounds, 4 clients; backbone: 2 root rounds, 2 edges.
    assert lane(run, "access_down") == lane(run, "access_up") == (24, 48, 192)
    assert lane(run, "backbone_down") == lane(run, "backbone_up") == (4, 8, 32)
    for event in events(run.ledger, "send", "accept"):
        assert event["payload_bytes"] == 8
        assert event["encoded_bytes"] > 8  # and what tells what they are
    hops = [event["hop"] for event in events(run.ledger, "send")]
    assert (hops.count("access"), hops.count("backbone")) == (24, 4)


def test_without_an_edge_tier_nothing_crosses_the_backbone(tmp_path: Path) -> None:
    run = Run(tmp_path, "topology.edges=0")
    run.rounds(2)
    assert run.model == [7.25, 17.25]
    assert lane(run, "access_down") == lane(run, "access_up") == (8, 16, 64)
    assert lane(run, "backbone_down") == lane(run, "backbone_up") == (0, 0, 0)
    for event in events(run.ledger, "send", "accept"):
        assert (event["payload_bytes"] == 0) == (event["encoded_bytes"] == 0) == (event["hop"] == "backbone")


def test_the_average_of_rounds_by_hand(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, "ema_decay=0.75")
    run.rounds(1)
    assert run.state.ema is run.state.model is run.state.best
    run.rounds(2)
    # w is 3.625, 7.25, 10.875. The decay is 2/11, then 3/12: 2/11 * 3.625 + 9/11 * 7.25 = 6.591; 1/4 and 3/4 of these
    np.testing.assert_allclose(run.state.ema.vector, [9.803977, 19.803977], rtol=1e-6)
    assert run.state.best is run.state.ema
    assert run.state.ema.vector.dtype == np.float32


def test_the_decay_grows_up_to_the_one_that_is_asked_for() -> None:
    assert [warmed_up(0.9, averaged) for averaged in (0, 1, 8, 79, 80, 1000)] == [0.1, 2 / 11, 0.5, 80 / 89, 0.9, 0.9]
    assert warmed_up(0.2, 1) == 2 / 11 and warmed_up(0.2, 2) == 0.2


def test_an_average_that_begins_after_the_pruning_is_young_again(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, "ema_decay=0.75", "rounds=3", "pruning=sparse_then_prune", "pruning.sparse_rounds=2")
    decays = []
    for committed in range(4):
        run.state.round = committed
        decays.append(run.strategy._decay)
    assert decays == [1 / 10, 2 / 11, 1 / 10, 2 / 11]


def test_the_average_of_a_resumed_run_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    whole, cut = (Run(tmp_path / name, HOMES, "ema_decay=0.9") for name in ("whole", "cut"))
    whole.rounds(4)
    cut.rounds(2)
    checkpoint.save(cut.state, tmp_path / "checkpoints", keep=1)
    vars(cut.state).update(vars(checkpoint.load(tmp_path / "checkpoints")))
    cut.rounds(2)
    assert cut.state.best.hash == whole.state.best.hash != whole.state.model.hash


def test_without_an_average_the_model_is_the_best(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES)
    run.rounds(1)
    assert run.state.ema is None
    assert run.state.best is run.state.model


# --- orders -----------------------------------------------------------------------------------------


def test_a_resumed_run_goes_on_counting(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, "topology.edge_rounds=2")
    run.state.round = 3
    orders = {one.metadata.dst_node_id: RoundOrder.read(one.content) for one in run.messages()}
    for order in orders.values():
        assert (order.root_round, order.first_edge_round, order.sparse) == (4, 6, False)
    assert orders[1].assignment == [["client-0", "client-1"]] * 2
    assert orders[2].assignment == [["client-2", "client-3"]] * 2
    [plan] = events(run.ledger, "plan")
    assert plan["assignment"] == [{"edge-0": ["client-0", "client-1"], "edge-1": ["client-2", "client-3"]}] * 2


def test_clients_are_told_that_a_round_is_sparse(tmp_path: Path) -> None:
    phases: list[bool] = []

    def note(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        phases.append(task.sparse)
        return update.write()

    clients = crowd()
    clients.replies = {0: note}
    Run(tmp_path, HOMES, "pruning=sparse_then_prune", "pruning.sparse_rounds=3", "rounds=5", clients=clients).rounds(2)
    assert phases == [True, True]


def test_nothing_is_evaluated_at_the_clients(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES)
    assert list(run.strategy.configure_evaluate(1, ArrayRecord(), ConfigRecord(), run.grid)) == []
    run.rounds(1)
    assert events(run.ledger, "start")[0]["edges"] == 2

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid
from helpers import Crowd, events, packed, small_config

from common.flower.exchange import exchange
from common.ledger import Ledger
from common.messages import ClientUpdate, EdgeUpdate, RoundOrder, TrainOrder
from common.packing import PackedModel
from common.quorum import QuorumError
from common.topology import edge_ids
from edge.aggregator import EdgeAggregator
from edge.virtual import VirtualEdgeGrid
from server.registry import register
from server.state import GlobalState, Traffic
from server.strategy import HierarchicalStrategy
from server.structure import StructureSchedule

START = packed(0.0, 10.0)
HOMES = "topology.homes=[[0],[0],[1],[1]]"
BY_SCORE = ["weighting=homogeneity", "weighting.root.a=1200"]

Forge = Callable[[EdgeUpdate], RecordDict]


def crowd() -> Crowd:
    """Edge 0 has clients 0 (100 images) and 1 (200), edge 1 has 2 (300) and 3 (200), of four classes."""
    return Crowd(
        [[50.0, 50.0, 0.0, 0.0], [0.0, 0.0, 100.0, 100.0], [150.0, 150.0, 0.0, 0.0], [100.0, 100.0, 0.0, 0.0]],
        [1.0, 4.0, 2.0, 7.0],
    )


class ForgingEdge(EdgeAggregator):
    """An edge that works soundly, but whose answers from root round `since` on are changed."""

    forge: Forge
    since: int = 1

    def run_round(self, grid: Grid, content: RecordDict) -> RecordDict:
        sound = super().run_round(grid, content)
        order = RoundOrder.read(content)
        if order.root_round < self.since:
            return sound
        return self.forge(EdgeUpdate.read(sound, order.model.structure))


class Run:
    """A strategy over virtual edges over a crowd; edge 1 may forge its answers."""

    def __init__(
        self, folder: Path, *overrides: str, clients: Crowd | None = None, forge: Forge | None = None, since: int = 1
    ) -> None:
        self.config = small_config("assignment=fixed", "topology.edge_rounds=1", *overrides)
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.state = GlobalState(0, START)
        names = edge_ids(self.config.topology)
        edges = [EdgeAggregator(name, self.config, self.ledger, folder / name) for name in names]
        if forge is not None:
            edges[1] = ForgingEdge("edge-1", self.config, self.ledger, folder / "edge-1")
            edges[1].forge, edges[1].since = forge, since
        self.grid = VirtualEdgeGrid((clients or crowd()).grid(), edges)
        registry = register(self.grid, self.config.topology, self.ledger)
        structure = StructureSchedule(self.config, self.ledger)
        self.strategy = HierarchicalStrategy(self.config, registry, self.state, structure, self.ledger, folder / "root")

    def rounds(self, number: int) -> None:
        self.strategy.start(self.grid, ArrayRecord(), number, timeout=20.0)

    def messages(self) -> list[Message]:
        return list(self.strategy.configure_train(1, ArrayRecord(), ConfigRecord(), self.grid))


# --- a round by hand --------------------------------------------------------------------------------
# Edge 0: (100 * 1 + 200 * 4) / 300 = 3 above the start; edge 1: (300 * 2 + 200 * 7) / 500 = 4.


def test_weights_by_samples(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES)
    run.rounds(1)
    np.testing.assert_array_equal(run.state.model.vector, [3.625, 13.625])  # (300 * 3 + 500 * 4) / 800
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
    run = Run(tmp_path, HOMES, "topology.edge_rounds=3")
    run.rounds(1)
    np.testing.assert_array_equal(run.state.model.vector, [3 * 3.625, 10 + 3 * 3.625])
    assert (run.state.latest.clients, run.state.latest.samples) == (4, 3 * 800)


def test_rounds_go_on_from_the_committed_model(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES)
    run.rounds(2)
    np.testing.assert_array_equal(run.state.model.vector, [7.25, 17.25])
    assert [commit["round"] for commit in events(run.ledger, "commit")] == [1, 2]


def test_bytes_by_hand(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, "topology.edge_rounds=3")
    run.rounds(2)
    # A model is 8 bytes. Access: 2 root rounds, 3 edge rounds, 4 clients; backbone: 2 root rounds, 2 edges.
    assert run.state.traffic == Traffic(access_down=192, access_up=192, backbone_down=32, backbone_up=32)
    for event in events(run.ledger, "send", "accept"):
        assert event["payload_bytes"] == 8
        assert event["encoded_bytes"] > 136
    hops = [event["hop"] for event in events(run.ledger, "send")]
    assert (hops.count("access"), hops.count("backbone")) == (24, 4)


def test_without_an_edge_tier_nothing_crosses_the_backbone(tmp_path: Path) -> None:
    run = Run(tmp_path, "topology.edges=0")
    run.rounds(2)
    np.testing.assert_array_equal(run.state.model.vector, [7.25, 17.25])
    assert run.state.traffic == Traffic(access_down=64, access_up=64, backbone_down=0, backbone_up=0)
    for event in events(run.ledger, "send", "accept"):
        assert (event["payload_bytes"] == 0) == (event["encoded_bytes"] == 0) == (event["hop"] == "backbone")


def test_the_average_of_rounds_by_hand(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, "ema_decay=0.75")
    run.rounds(1)
    assert run.state.ema is run.state.model is run.state.best
    run.rounds(2)
    # w is 3.625, 7.25, 10.875: 3.625; 0.75 * 3.625 + 0.25 * 7.25 = 4.53125; 0.75 * 4.53125 + 0.25 * 10.875
    np.testing.assert_array_equal(run.state.ema.vector, [6.1171875, 16.1171875])
    assert run.state.best is run.state.ema
    assert run.state.ema.vector.dtype == np.float32


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
    Run(
        tmp_path, HOMES, "structure=sparse_then_prune", "structure.sparse_rounds=3", "rounds=5", clients=clients
    ).rounds(2)
    assert phases == [True, True]


def test_nothing_is_evaluated_at_the_clients(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES)
    assert list(run.strategy.configure_evaluate(1, ArrayRecord(), ConfigRecord(), run.grid)) == []
    run.rounds(1)
    assert events(run.ledger, "start")[0]["edges"] == 2


# --- what does not count ----------------------------------------------------------------------------


def failing(update: EdgeUpdate) -> RecordDict:
    raise OSError("the spool is full")


def changed(**changes: object) -> Forge:
    return lambda update: replace(update, **changes).write()


def changed_round(**changes: object) -> Forge:
    return lambda update: replace(update, rounds=[replace(one, **changes) for one in update.rounds]).write()


UNSOUND: list[tuple[str, Forge, str]] = [
    ("lost", failing, "error 2: OSError: the spool is full"),
    ("refuse", changed(edge="edge-0"), "comes from edge-0"),
    ("refuse", changed(root_round=7), "is for root round 7, not 1"),
    ("refuse", changed(rounds=[]), "has 0 edge rounds, not 1"),
    ("refuse", changed(q=[0.5, 0.5]), "has label fractions of 2 classes, not 4"),
    ("refuse", changed(q=[1e200] * 4), "'q' must be"),
    ("refuse", changed(model=packed(1.0, 2.0, name="v")), "instead of"),
    ("refuse", changed(model=packed(np.inf, 2.0)), "not finite"),
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
    np.testing.assert_array_equal(run.state.model.vector, [3.0, 13.0])
    [logged] = [line for line in events(run.ledger, "refuse", "lost") if line["tier"] == "root"]
    assert reason in str(logged.pop("reason"))
    where = {"tier": "root", "node": "root", "round": 1, "edge_round": None, "peer": "edge-1"}
    assert logged == {"event": event} | where
    [commit] = events(run.ledger, "commit")
    assert (commit["edges"], commit["weights"]) == (["edge-0"], {"edge-0": 1.0})
    assert (run.state.traffic.backbone_down, run.state.traffic.backbone_up) == (16, 8)
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
    np.testing.assert_array_equal(run.state.model.vector, [6.625, 16.625])  # 3.625, then edge 0's 3


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
    np.testing.assert_array_equal(run.state.model.vector, [3.0, 13.0])
    [lost] = [line for line in events(run.ledger, "lost") if line["tier"] == "root"]
    assert "QuorumError: edge-1: edge round 0: 0 of 2 clients gave a sound update" in str(lost["reason"])


def test_a_round_commits_once(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES)
    replies = list(exchange(run.grid, run.messages(), 20.0))
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
        run.strategy.aggregate_train(1, list(exchange(run.grid, run.messages(), 20.0))[::turn])
        models.append(run.state.model)
    assert models[0].hash == models[1].hash


def test_edges_at_which_nobody_trained_do_not_count(tmp_path: Path) -> None:
    run = Run(tmp_path, "topology.homes=[[0],[0],[0],[0,1]]", *BY_SCORE)  # fixed: all at edge 0
    run.rounds(1)
    # (100 * 1 + 200 * 4 + 300 * 2 + 200 * 7) / 800
    np.testing.assert_array_equal(run.state.model.vector, [3.625, 13.625])
    assert events(run.ledger, "commit")[0]["weights"] == {"edge-0": 1.0, "edge-1": 0.0}


def test_state_advances_without_touching_the_old_models() -> None:
    state = GlobalState(0, START)
    first = PackedModel(START.structure, np.array([4.0, 0.0], np.float32))
    state.advance(first, 0.5)
    state.advance(PackedModel(START.structure, np.array([0.0, 8.0], np.float32)), 0.5)
    np.testing.assert_array_equal(state.ema.vector, [2.0, 4.0])
    np.testing.assert_array_equal(first.vector, [4.0, 0.0])
    assert state.round == 2

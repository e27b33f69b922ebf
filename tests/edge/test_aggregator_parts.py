"""Which parts of the network an edge sends and asks for, and what becomes of those that nobody reports."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import RecordDict
from helpers import SHARED, Crowd, download, events, exact, small_config, three_parts
from small_edge import aggregator, model_of, order, two, update_of

from fedphd.client.app import app
from fedphd.common.config import to_run_config
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import pack
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.messages import ClientUpdate, TrainOrder
from fedphd.common.wire.parts import PARTS
from fedphd.common.wire.traffic import Traffic
from fedphd.launch.runtimes.client_grid import InProcessGrid

START = three_parts([0.0], [10.0, 10.0], [20.0, 20.0, 20.0])  # 1, 2 and 3 numbers
SIZES = dict(zip(PARTS, (1, 2, 3), strict=True))


class Noting:
    """Clients that note what they are asked."""

    def __init__(self, crowd: Crowd) -> None:
        self.asked: dict[tuple[str, int], TrainOrder] = {}
        self.crowd = crowd
        crowd.replies = dict.fromkeys(range(len(crowd.counts)), self._reply)

    def _reply(self, update: ClientUpdate, task: TrainOrder) -> RecordDict:
        self.asked[update.client, task.edge_round] = task
        return update.write()


# --- USPLIT -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("clients", [1, 2, 3, 4, 5])
def test_each_part_is_averaged_over_those_who_were_asked_for_it(ledger: Ledger, clients: int) -> None:
    everyone = list(range(clients))
    noting = Noting(Crowd([[10.0, 0.0]] * clients, [float(2**index) for index in everyone]))
    edge = aggregator(ledger, clients, "exchange=usplit")
    update = update_of(edge.run_round(noting.crowd.grid(), order(everyone, start=START)), START)
    parts = {client: task.reports for (client, _), task in noting.asked.items()}
    expected = []
    for part, before in zip(PARTS, (0.0, 10.0, 20.0), strict=True):
        adds = [noting.crowd.adds[int(client[-1])] for client, own in parts.items() if part in own]
        assert len(adds) >= 1
        expected += [before + sum(adds) / len(adds)] * SIZES[part]
    assert model_of(update) == pytest.approx(expected, rel=1e-6)
    numbers = sum(SIZES[part] for own in parts.values() for part in own)
    assert update.rounds[0].up == Traffic(clients, numbers, 4 * numbers)
    assert update.rounds[0].down == Traffic(clients, 6 * clients, 24 * clients)
    if clients % 2 == 0:  # a pair reports each part once
        assert numbers == 6 * clients / 2


def test_pairs_are_drawn_anew_in_each_edge_round(ledger: Ledger) -> None:
    noting = Noting(two())
    edge = aggregator(ledger, 2, "exchange=usplit", "topology.edge_rounds=20")
    edge.run_round(noting.crowd.grid(), order(*[[0, 1]] * 20, start=START, root_round=1, first=0))
    drawn = {noting.asked["client-0", edge_round].reports for edge_round in range(20)}
    assert drawn == {("decoder",), ("bottleneck", "decoder"), ("encoder",), ("encoder", "bottleneck")}


def test_a_part_whose_reporter_failed_stays(ledger: Ledger) -> None:
    failed: list[TrainOrder] = []

    def fail(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        failed.append(task)
        raise OSError("no disk")

    crowd = two()
    crowd.replies = {1: fail}
    edge = aggregator(ledger, 2, "exchange=usplit")
    update = update_of(edge.run_round(crowd.grid(), order([0, 1], start=START)), START)
    [task] = failed
    before = dict(zip(PARTS, (0.0, 10.0, 20.0), strict=True))
    expected = [before[part] + (0.0 if part in task.reports else 1.0) for part in PARTS for _ in range(SIZES[part])]
    assert model_of(update) == expected


# --- parts that never travel ------------------------------------------------------------------------


def test_the_whole_network_goes_down_once(ledger: Ledger) -> None:
    noting = Noting(two("exchange=udec"))
    edge = aggregator(ledger, 2, "exchange=udec")
    down = download(START, shared=SHARED["udec"])
    update = update_of(edge.run_round(noting.crowd.grid(), order([0, 1], [0, 1], start=down)), START, "udec")
    assert model_of(update) == [28.0] * 3  # 20, and twice (10 * 1 + 30 * 5) / 40
    assert [noting.asked["client-1", edge_round].download.parts for edge_round in (4, 5)] == [PARTS, ("decoder",)]
    assert {task.reports for task in noting.asked.values()} == {("decoder",)}
    assert [one.down for one in update.rounds] == [Traffic(2, 12, 48), Traffic(2, 6, 24)]
    assert [one.up for one in update.rounds] == [Traffic(2, 6, 24)] * 2
    # What each client added to its own parts, it kept: client 1 is 5 further in each edge round.
    own = [noting.crowd.trained[1][edge_round].vector[:3].tolist() for edge_round in (4, 5)]
    assert own == [[5.0, 15.0, 15.0], [10.0, 20.0, 20.0]]


def test_a_new_structure_is_a_first_contact(ledger: Ledger) -> None:
    noting = Noting(two("exchange=udec"))
    edge = aggregator(ledger, 2, "exchange=udec")
    wider = three_parts([0.0], [10.0], [20.0])
    for root_round, start in ((3, START), (4, wider)):
        down = download(start, shared=SHARED["udec"])
        edge.run_round(noting.crowd.grid(), order([0], root_round=root_round, first=2 * root_round - 2, start=down))
    assert [task.download.parts for task in noting.asked.values()] == [PARTS, PARTS]


def test_other_parts_than_those_asked_for_are_refused(ledger: Ledger) -> None:
    crowd = two("exchange=udec")
    crowd.replies = {1: lambda update, task: replace(update, model=exact(START)).write()}
    edge = aggregator(ledger, 2, "exchange=udec")
    down = download(START, shared=SHARED["udec"])
    update = update_of(edge.run_round(crowd.grid(), order([0, 1], start=down)), START, "udec")
    assert model_of(update) == [21.0] * 3
    [refused] = events(ledger, "refuse")
    assert (refused["peer"], "instead of" in str(refused["reason"])) == ("client-1", True)


def test_a_client_that_lost_its_disk_gets_the_whole_network_in_the_next_edge_round(
    ledger: Ledger, tmp_path: Path
) -> None:
    """With the real ClientApp, and a real U-Net on real digits."""
    overrides = ["exchange=udec", "data.limit=60", "training.batch_size=30"]
    config = small_config("topology.clients=2", "topology.edges=1", *overrides)
    grid = InProcessGrid(app, 2, to_run_config(config, tmp_path / "run"))
    edge, start = aggregator(ledger, 2, *overrides), pack(build_unet(config.model, 0).state_dict())
    down = download(start, shared=SHARED["udec"])
    edge.run_round(grid, order([0, 1], [0, 1], root_round=1, first=0, start=down))
    shutil.rmtree(tmp_path / "run" / "clients" / "client-1")
    update = update_of(edge.run_round(grid, order([0, 1], [0, 1], root_round=2, first=2, start=down)), start, "udec")
    assert [one.clients for one in update.rounds] == [["client-0"], ["client-0", "client-1"]]
    [lost] = events(ledger, "lost")
    assert (lost["peer"], lost["edge_round"]) == ("client-1", 2)
    assert "MissingStateError" in str(lost["reason"]) and "no encoder and bottleneck" in str(lost["reason"])
    whole, decoder = start.structure.size, edge.site.downlink.sent.select(update.model.structure).structure.size
    assert [one.down.parameters for one in update.rounds] == [2 * decoder, decoder + whole]

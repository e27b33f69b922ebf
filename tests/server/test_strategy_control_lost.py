"""SCAFFOLD where updates are lost after the client stored c_k: c stays the mean of the c_k that clients go on from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict
from helpers import download, events, small_config
from small_root import HOMES, Run, crowd

from fedphd.client.keeping import Keeper
from fedphd.common.config import Config
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.training.seeding import numpy_rng
from fedphd.common.wire.messages import ClientUpdate, EdgeUpdate, TrainOrder
from fedphd.common.wire.parts import PARTS
from fedphd.server import checkpoint

SCAFFOLD = ["objective=control_variates", "topology.edge_rounds=2", "topology.quorum=0.25", "rounds=9"]
START = pack(build_unet(small_config().model, 0).state_dict())


@dataclass
class Scenario:
    """Clients that keep c_k as the real ones do; some updates are lost after that, and some of edge 1's.

    Attributes
    ----------
    folder : Path
        Of all that is kept.
    config : Config
        The run's configuration.
    seed : int
        Of the losses.
    clients_too : bool
        Whether clients' updates are lost, those of one of each edge's two in each edge round, besides the edge's.
    """

    folder: Path
    config: Config
    seed: int
    clients_too: bool
    lost: int = 0

    def reply(self, index: int) -> Callable[[ClientUpdate, TrainOrder], RecordDict]:
        def reply(update: ClientUpdate, order: TrainOrder) -> RecordDict:
            if order.final:
                update = self._with_control(index, update, order)
            if self.clients_too and int(self._draw(order.edge, order.edge_round) * 2) == index % 2:
                self.lost += order.final
                raise OSError("the update is lost")
            return update.write()

        return reply

    def edge(self, update: EdgeUpdate) -> RecordDict:
        if self._draw("edge", update.root_round) < 0.4:
            self.lost += 1
            raise OSError("the edge's update is lost")
        return update.write()

    def keeper(self, index: int, order: TrainOrder) -> Keeper:
        return Keeper(self.folder / f"client-{index}", self.config, order)

    def mean(self, run: Run) -> PackedModel:
        """Give the mean of the c_k from which the clients go on in the next root round."""
        committed, down = run.state.round, download(START)
        kept = []
        for index, client in enumerate(run.registry.profiles):
            counted = run.state.counted.get(client, 0)
            order = TrainOrder(down, "edge-0", committed + 1, 2 * committed, False, PARTS, counted=counted)
            kept.append(self.keeper(index, order).control(START.structure).vector)
        return PackedModel(START.structure, np.mean(kept, axis=0, dtype=np.float64).astype(np.float32))

    def _with_control(self, index: int, update: ClientUpdate, order: TrainOrder) -> ClientUpdate:
        keeper = self.keeper(index, order)
        keeper.receive()
        c_k = keeper.control(keeper.received.structure)
        new = numpy_rng(self.seed, "c_k", index, order.edge_round).standard_normal(c_k.structure.size, np.float32)
        return replace(update, control=keeper.report_control(c_k, PackedModel(c_k.structure, new), order.reports))

    def _draw(self, *names: str | int) -> float:
        return float(numpy_rng(self.seed, "lost", *names).random())


def start(folder: Path, name: str, seed: int, clients_too: bool, *overrides: str) -> tuple[Run, Scenario]:
    given = [*overrides, *SCAFFOLD, HOMES if clients_too else "assignment=random"]
    scenario = Scenario(folder, small_config("assignment=fixed", *given), seed, clients_too)
    clients = crowd()
    clients.replies = {index: scenario.reply(index) for index in range(4)}
    return Run(folder / name, *given, clients=clients, forge=scenario.edge, start=START), scenario


def check(run: Run, scenario: Scenario) -> None:
    assert run.state.control is not None
    np.testing.assert_allclose(run.state.control.vector, scenario.mean(run).vector, rtol=0, atol=2e-5)
    assert not events(run.ledger, "refuse")


@pytest.mark.parametrize("clients_too", [True, False], ids=["clients and an edge", "an edge, clients with two homes"])
@pytest.mark.parametrize("seed", [0, 1])
def test_c_stays_the_mean_whatever_is_lost(tmp_path: Path, seed: int, clients_too: bool) -> None:
    run, scenario = start(tmp_path, "run", seed, clients_too)
    for _ in range(5):
        run.rounds(1)
        check(run, scenario)
    assert scenario.lost


@pytest.mark.parametrize(
    ("ways", "clients_too"),
    [("codec.access.up.kind=int8", True), ("codec=int4", False)],
    ids=["access", "both hops"],
)
def test_coded_changes_count_from_what_was_counted(tmp_path: Path, ways: str, clients_too: bool) -> None:
    """8 bits on the way from the clients; the edges' sums are exact, whatever codec the backbone has."""
    run, scenario = start(tmp_path, "run", 0, clients_too, ways)
    run.rounds(5)
    check(run, scenario)
    assert scenario.lost


def test_c_stays_the_mean_when_the_root_goes_back(tmp_path: Path) -> None:
    """... to a checkpoint from before rounds of which the clients have states, and other updates are lost then."""
    first, _ = start(tmp_path, "first", 0, True, "checkpoint.every=2")
    first.rounds(2)
    checkpoint.save(first.state, tmp_path / "checkpoints", keep=2)
    first.rounds(1)
    second, scenario = start(tmp_path, "second", 3, True, "checkpoint.every=2")
    vars(second.state).update(vars(checkpoint.load(tmp_path / "checkpoints")))
    check(second, scenario)
    for _ in range(3):
        second.rounds(1)
        check(second, scenario)
    assert scenario.lost


def test_who_counted_is_noted_and_told(tmp_path: Path) -> None:
    """Client 3's update is lost each time; the others count in the second of two edge rounds."""

    def lost(_update: ClientUpdate, _order: TrainOrder) -> RecordDict:
        raise OSError("no disk")

    clients = crowd()
    clients.replies = {3: lost}
    run = Run(tmp_path, HOMES, "objective=control_variates", "topology.edge_rounds=2", clients=clients)
    assert run.orders()[0].counted == {}
    run.rounds(2)
    assert run.state.counted == {"client-0": 4, "client-1": 4, "client-2": 4}
    assert [order.counted for order in run.orders()] == [{"client-0": 4, "client-1": 4}, {"client-2": 4}]

"""An edge that is killed within a root round goes on to the same bits, whatever it and its clients keep.

The clients are real ones, with a real U-Net on real digits.
"""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import Message
from helpers import SHARED, download, events, exact, small_config
from small_edge import update_of

from fedphd.client.app import app
from fedphd.common.config import Config, to_run_config
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.links import Download, decode_upload
from fedphd.common.wire.messages import TRAIN, EdgeUpdate, RoundOrder
from fedphd.common.wire.parts import restrict
from fedphd.common.wire.traffic import NO_TRAFFIC
from fedphd.edge.aggregator import EdgeAggregator
from fedphd.edge.edge_progress import EdgeProgress
from fedphd.launch.runtimes.client_grid import InProcessGrid

EDGE_ROUNDS = 2
BOTH = ["client-0", "client-1"]


class KilledError(BaseException):
    """Stands for `kill -9`: nobody catches it."""


class DoomedGrid(InProcessGrid):
    """Clients, of which the `last`-th that is asked to train takes the edge with it, after it has trained."""

    last: int | None = None

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        [message] = messages
        pushed: list[str] = super().push_messages([message])
        if self.last is not None and message.metadata.message_type == TRAIN:
            self.last -= 1
            if self.last == 0:
                raise KilledError
        return pushed


class Site:
    """An edge's host: its folders and its clients outlive the edge's process."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder, self.config = folder, config
        self.grid = DoomedGrid(app, 2, to_run_config(config, folder / "run"))
        self.restart()

    def restart(self) -> None:
        ledger, members = Ledger(self.folder / "ledger.jsonl"), self.folder / "members.json"
        folders = self.folder / "early", self.folder / "state"
        self.edge = EdgeAggregator("edge-0", self.config, ledger, *folders, members)

    def round(self, order: RoundOrder) -> EdgeUpdate:
        progress = EdgeProgress(self.folder / "progress" / f"{order.root_round}.safetensors")
        content = self.edge.run_round(self.grid, order.write(), progress)
        update = update_of(content, pack(build_unet(self.config.model, 0).state_dict()), self.config.exchange.kind)
        # Without wall time and the events, in which a restart may show.
        return replace(update, events=[], rounds=[replace(one, seconds=0.0) for one in update.rounds])


def ask(config: Config, root_round: int, down: Download, model: PackedModel) -> RoundOrder:
    control = final = None
    if config.objective.control_variates:
        shared = restrict(model.structure, config.exchange.shared)
        control = exact(PackedModel(shared, 0.01 * model.select(shared).vector))
        final = [["client-1"], ["client-0"]]
    return RoundOrder(
        down,
        root_round,
        EDGE_ROUNDS * (root_round - 1),
        [BOTH, BOTH],
        False,
        control=control,
        final=final,
    )


@pytest.mark.parametrize(
    ("overrides", "last"),
    [
        (["codec=int4"], 3),  # in the second edge round
        (["exchange=udec", "codec=int8"], 4),  # after the last client's training
        (["objective=control_variates", "exchange=usplit"], 4),
        (["objective=contrastive", "codec.access.down.kind=int8", "codec.access.down.of=change"], 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_edge_goes_on_to_the_same_bits(tmp_path: Path, overrides: list[str], last: int) -> None:
    few = ["data.limit=60", "training.batch_size=30", f"topology.edge_rounds={EDGE_ROUNDS}"]
    config = small_config("topology.clients=2", "topology.edges=1", *few, *overrides)
    kind, start = config.exchange.kind, pack(build_unet(config.model, 0).state_dict())
    first = Site(tmp_path / "undisturbed", config).round(ask(config, 1, download(start, shared=SHARED[kind]), start))
    shutil.copytree(tmp_path / "undisturbed", tmp_path / "killed")
    undisturbed, site = (Site(tmp_path / name, config) for name in ("undisturbed", "killed"))

    moved = start.overlay(decode_upload(first.model, start, config.backbone.up))
    second = ask(config, 2, download(moved, SHARED[kind], SHARED[kind]), moved)
    expected = undisturbed.round(second)
    site.grid.last = last
    with pytest.raises(KilledError):
        site.round(second)
    site.grid.last = None
    site.restart()
    update = site.round(second)
    assert replace(update, rounds=[]) == replace(expected, rounds=[])
    # An edge that was started again does not know who had a first contact, so it sends more.
    assert [replace(one, down=NO_TRAFFIC) for one in update.rounds] == [
        replace(one, down=NO_TRAFFIC) for one in expected.rounds
    ]
    assert [event["edge_round"] for event in events(site.edge.ledger, "restart")] == [3]

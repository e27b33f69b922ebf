"""A client that is asked again, early or late, gives the same answer bit for bit, whatever it keeps."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from asking import ask, settings, start_of, train_order, update_of
from helpers import SHARED, exact

from fedphd.common.config import EXACT, Config
from fedphd.common.network.packing import PackedModel
from fedphd.common.wire.codec.coded import code
from fedphd.common.wire.links import Download
from fedphd.common.wire.messages import TRAIN, ClientUpdate, TrainOrder
from fedphd.common.wire.parts import PARTS

SENT = 4  # edge rounds, two in a root round


def orders(config: Config, start: PackedModel) -> list[TrainOrder]:
    """Make the orders of an edge whose model is another one in each edge round."""
    kind, control = config.exchange.kind, None
    if config.objective.control_variates:
        control = exact(PackedModel(start.structure, np.full(start.structure.size, 1e-3, np.float32)))
    models = [PackedModel(start.structure, start.vector * np.float32(1 - 0.1 * number)) for number in range(SENT)]
    made = [
        train_order(model, number, kind, PARTS if number == 0 else SHARED[kind]) for number, model in enumerate(models)
    ]
    if config.codec.access.down.of == "change":
        changes = [code(model, EXACT, before) for before, model in pairwise(models)]
        downloads = [Download(change, start.structure, PARTS, PARTS, base) for base, change in enumerate(changes)]
        made[1:] = [replace(order, download=down) for order, down in zip(made[1:], downloads, strict=True)]
    scaffold = control is not None
    return [
        replace(order, control=control, final=scaffold, counted=number // 2 * 2 if scaffold else 0)
        for number, order in enumerate(made)
    ]


def answer(config: Config, folder: Path, order: TrainOrder) -> ClientUpdate:
    """Give an answer without its time, in which alone it may differ."""
    return replace(update_of(ask(config, folder, order.write(), TRAIN, 1)[1], order), seconds=0.0)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["exchange=udec", "codec=int4"],
        ["exchange=ulatdec", "codec=int8"],
        ["exchange=usplit", "codec.access.up.kind=bfloat16", "codec.access.up.error_feedback=true"],
        ["objective=control_variates"],
        ["codec=int8_weights", "codec.access.up.rounding=stochastic"],
        ["objective=contrastive"],
        ["objective=proximal", "codec.access.down.of=change"],
    ],
    ids=lambda overrides: " ".join(overrides) or "plain",
)
def test_a_repeated_order(tmp_path: Path, overrides: list[str]) -> None:
    config = settings(*overrides)
    asked = orders(config, start_of(config))
    first = [answer(config, tmp_path / "once", order) for order in asked]
    again: list[ClientUpdate] = []
    for number, order in enumerate(asked):
        again.append(answer(config, tmp_path / "twice", order))
        assert answer(config, tmp_path / "twice", order) == again[-1], "asked again at once"
        if number % 2:  # an edge is started again, or the root goes back to its last checkpoint
            late = [answer(config, tmp_path / "twice", one) for one in asked[number - 1 : number + 1]]
            assert late == again[number - 1 : number + 1], "asked for the whole root round again"
    assert again == first
    assert len({update.model.data for update in first}) == SENT


def test_a_root_that_goes_back_by_two_checkpoints(tmp_path: Path) -> None:
    """`checkpoint.keep` is 2: the newest may be damaged."""
    config = settings("exchange=udec", "codec=int4", "topology.edge_rounds=1")
    asked = [replace(order, root_round=order.edge_round + 1) for order in orders(config, start_of(config))]
    first = [answer(config, tmp_path, order) for order in asked]
    assert [answer(config, tmp_path, order) for order in asked[2:]] == first[2:]

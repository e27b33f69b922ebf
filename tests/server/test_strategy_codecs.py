"""What crosses the backbone: parts, codes, changes, and what an edge gets that lost what it had."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict
from helpers import Crowd, events, small_config, three_parts
from small_root import HOMES, Run, crowd, lane

from fedphd.common.network.build import build_unet
from fedphd.common.network.lineage import NO_PRUNING
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec import coded_bytes
from fedphd.common.wire.messages import EdgeUpdate
from fedphd.common.wire.parts import PARTS

# One matrix of two channels with four numbers each, which are quantised, and two biases, which are not.
STRUCTURE = Structure((("w", (2, 4)), ("b", (2,))))
MATRIX = PackedModel(STRUCTURE, np.array([1, -2, 3, -4, 0.5, 0.25, 0, 1, 7, 8], np.float32))
NETWORK = three_parts([0.0], [10.0, 10.0], [20.0, 20.0, 20.0])
CHANGES_DOWN = ["codec.backbone.down.kind=int8", "codec.backbone.down.of=change"]


def failing_once(at: int) -> Callable[[EdgeUpdate], RecordDict]:
    def forge(update: EdgeUpdate) -> RecordDict:
        if update.root_round == at:
            raise OSError("no disk")
        return update.write()

    return forge


# --- parts ------------------------------------------------------------------------------------------


def test_after_the_first_contact_only_parts_travel(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, "exchange=udec", start=NETWORK)
    run.rounds(3)
    assert run.model == [0.0, 10.0, 10.0] + [20 + 3 * 3.625] * 3
    assert lane(run, "backbone_down") == (6, 2 * 6 + 4 * 3, 4 * 24)
    assert lane(run, "backbone_up") == (6, 6 * 3, 4 * 18)
    assert lane(run, "access_down") == (12, 4 * 6 + 8 * 3, 4 * 48)
    assert lane(run, "access_up") == (12, 12 * 3, 4 * 36)


def test_an_edge_that_lost_its_disk_gets_the_whole_network_the_next_time(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, "exchange=udec", start=NETWORK)
    run.rounds(1)
    shutil.rmtree(tmp_path / "edges" / "edge-1")
    run.rounds(1)
    [lost] = [event for event in events(run.ledger, "lost") if event["tier"] == "root"]
    assert (lost["peer"], lost["round"]) == ("edge-1", 2)
    assert "MissingStateError: edge-1 has no model of structure" in str(lost["reason"])
    first, second = run.orders()
    assert (first.download.parts, second.download.parts) == (("decoder",), PARTS)
    run.rounds(1)
    assert events(run.ledger, "commit")[-1]["edges"] == ["edge-0", "edge-1"]
    np.testing.assert_array_equal(run.model[3:], [20 + 3.625 + 3 + 3.625] * 3)


def test_an_edge_whose_answer_cannot_be_used_still_has_what_it_was_sent(tmp_path: Path) -> None:
    forge = lambda update: replace(update, root_round=9).write()  # noqa: E731
    run = Run(tmp_path, HOMES, "exchange=udec", start=NETWORK, forge=forge, since=2)
    run.rounds(2)
    assert [order.download.parts for order in run.orders()] == [("decoder",), ("decoder",)]


def test_a_pruning_is_a_first_contact(tmp_path: Path) -> None:
    overrides = ["exchange=udec", "pruning=sparse_then_prune", "pruning.sparse_rounds=1", "rounds=3"]
    start = pack(build_unet(small_config().model, 0).state_dict())
    run = Run(tmp_path, HOMES, *overrides, start=start, clients=Crowd(crowd().counts, [0.01] * 4))
    run.rounds(1)
    orders = run.orders()
    assert [order.download.parts for order in orders] == [PARTS, PARTS]
    assert orders[0].lineage == run.state.lineage != NO_PRUNING
    assert orders[0].download.structure == run.state.model.structure != start.structure


def test_those_who_keep_nothing_are_not_told_of_a_pruning(tmp_path: Path) -> None:
    overrides = ["pruning=sparse_then_prune", "pruning.sparse_rounds=1", "rounds=3"]
    start = pack(build_unet(small_config().model, 0).state_dict())
    run = Run(tmp_path, HOMES, *overrides, start=start, clients=Crowd(crowd().counts, [0.01] * 4))
    run.rounds(1)
    assert run.state.lineage != NO_PRUNING
    assert [order.lineage for order in run.orders()] == [NO_PRUNING, NO_PRUNING]


# --- codes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "int8"])
def test_weights(tmp_path: Path, kind: str) -> None:
    run = Run(tmp_path, HOMES, *(f"codec.backbone.{way}.kind={kind}" for way in ("down", "up")), start=MATRIX)
    run.rounds(1)
    np.testing.assert_allclose(run.model, MATRIX.vector + 3.625, atol={"float16": 0.02, "bfloat16": 0.1}.get(kind, 0.1))
    size = coded_bytes(STRUCTURE, kind)
    assert lane(run, "backbone_down") == lane(run, "backbone_up") == (2, 20, 2 * size)
    assert lane(run, "access_up") == (4, 40, 160)


def test_changes_up_count_from_what_the_edge_has(tmp_path: Path) -> None:
    ways = ["codec.backbone.down.kind=int8", "codec.backbone.up.kind=int4", "codec.backbone.up.of=change"]
    run = Run(tmp_path, HOMES, *ways, start=MATRIX, clients=Crowd(crowd().counts, [0.0] * 4))
    run.rounds(1)
    sent = run.strategy.downlink.sent
    assert sent.hash != MATRIX.hash
    assert run.state.model.hash == sent.hash


def test_changes_down_count_from_what_was_sent_before(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, *CHANGES_DOWN, start=MATRIX)
    run.rounds(1)
    assert run.state.reference is not None
    assert (run.state.reference.round, run.state.reference.model.hash) == (1, MATRIX.hash)
    model = run.state.model
    run.rounds(1)
    assert lane(run, "backbone_down") == (4, 40, 2 * 40 + 2 * coded_bytes(STRUCTURE, "int8"))
    assert run.state.reference.round == 2
    sent = run.state.reference.model
    # The change is 3.625 everywhere, so its scale says it exactly enough; the edges train what was sent.
    np.testing.assert_allclose(sent.vector, model.vector, rtol=1e-6)
    np.testing.assert_allclose(run.model, sent.vector + 3.625, rtol=1e-6)
    [base] = {order.download.base for order in run.orders()}
    assert base == 2


def test_an_edge_that_missed_a_round_gets_the_same_numbers_in_full(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, *CHANGES_DOWN, start=MATRIX, forge=failing_once(2))
    run.rounds(2)
    first, second = (order.download for order in run.orders())
    assert (first.base, second.base, second.parts) == (2, None, PARTS)
    assert run.state.reference is not None
    assert first.model.decode(run.state.reference.model).hash == second.model.decode().hash
    run.rounds(1)
    assert {order.download.base for order in run.orders()} == {3}


def test_a_resumed_root_sends_whole_models_that_hold_the_same_numbers(tmp_path: Path) -> None:
    def two_rounds(name: str, resumed: bool) -> Run:
        run = Run(tmp_path / name, HOMES, *CHANGES_DOWN, start=MATRIX)
        run.rounds(1)
        if resumed:
            again = Run(tmp_path / name, HOMES, *CHANGES_DOWN, start=MATRIX, clients=run.clients)
            again.state.round, again.state.model = run.state.round, run.state.model
            again.state.reference = run.state.reference
            run = again
        assert {order.download.base for order in run.orders()} == {None if resumed else 1}
        run.rounds(1)
        return run

    assert two_rounds("a", resumed=False).state.model.hash == two_rounds("b", resumed=True).state.model.hash


def test_a_lost_model_that_changes_count_from(tmp_path: Path) -> None:
    run = Run(tmp_path, HOMES, *CHANGES_DOWN, start=MATRIX)
    run.rounds(1)
    shutil.rmtree(tmp_path / "edges" / "edge-1")
    run.rounds(1)
    [lost] = [event for event in events(run.ledger, "lost") if event["tier"] == "root"]
    assert "MissingStateError: edge-1 has no model of root round 1" in str(lost["reason"])
    assert [order.download.base for order in run.orders()] == [2, None]


# --- no backbone ------------------------------------------------------------------------------------


def test_without_an_edge_tier_the_backbone_has_no_codec(tmp_path: Path) -> None:
    run = Run(tmp_path, "topology.edges=0", *CHANGES_DOWN, "codec.backbone.up.kind=int8", start=MATRIX)
    run.rounds(2)
    np.testing.assert_array_equal(run.model, MATRIX.vector + 2 * 3.625)  # nothing was rounded
    assert run.state.reference is None
    assert lane(run, "backbone_down") == lane(run, "backbone_up") == (0, 0, 0)


# --- small changes ----------------------------------------------------------------------------------

THREE = Structure(tuple((name, (2, 4)) for name in ("conv_in.weight", "mid_block.weight", "conv_out.weight")))


@pytest.mark.parametrize("exchange", ["full", "usplit"])
@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_changes_far_below_a_step_add_up_on_both_hops(tmp_path: Path, kind: str, exchange: str) -> None:
    """All clients add 0.001 in each of 20 edge rounds, to numbers whose 8-bit steps are about 0.03."""
    start = PackedModel(THREE, np.tile(MATRIX.vector[:8], 3))
    choices = (HOMES, f"codec={kind}", f"exchange={exchange}", "topology.edge_rounds=2")
    clients = Crowd(crowd().counts, [0.001] * 4)
    run = Run(tmp_path / "fed back", *choices, start=start, clients=clients)
    run.rounds(10)
    np.testing.assert_allclose(run.state.model.vector - start.vector, 0.02, rtol=0, atol=1e-4)
    nearest = [f"codec.{hop}.down.error_feedback=false" for hop in ("access", "backbone")]
    alone = Run(tmp_path / "alone", *choices, *nearest, start=start, clients=clients)
    alone.rounds(10)
    assert np.abs(alone.state.model.vector - start.vector - 0.02).max() > 0.01


def test_weights_rounded_at_random_are_the_same_in_the_same_run(tmp_path: Path) -> None:
    hashes = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run = Run(tmp_path / name, HOMES, "codec=int8_weights", f"seed={seed}", start=MATRIX)
        run.rounds(2)
        hashes.append(run.state.model.hash)
    assert hashes[0] == hashes[1] != hashes[2]

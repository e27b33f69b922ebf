"""What a client keeps from round to round, with numbers by hand, and what it then makes of a message."""

from pathlib import Path

import numpy as np
import pytest
from helpers import download, packed, small_config

from fedphd.client.keeping import Keeper
from fedphd.common.config import EXACT, Config
from fedphd.common.keeping.missing import MissingStateError
from fedphd.common.network.build import dense_structure
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import StructureError
from fedphd.common.wire.codec.coded import CodedModel, code
from fedphd.common.wire.links import Download
from fedphd.common.wire.messages import TrainOrder
from fedphd.common.wire.parts import PARTS, Parts, part_of

DECODER: Parts = ("decoder",)
ODD = 1 + 1 / 256  # half a step above 1 in bfloat16, which has 1/128 between 1 and 2
NEXT = 1 + 1 / 128

STRUCTURE = dense_structure(small_config().model)
UDEC = small_config("exchange=udec")
FEEDBACK = [f"codec.access.up.{one}" for one in ("kind=bfloat16", "error_feedback=true")]
CHANGES_DOWN = small_config("codec.access.down.of=change")


def keeper(
    folder: Path, config: Config, down: Download, edge_round: int, edge: str = "edge-0", counted: int = 0
) -> Keeper:
    """Two edge rounds make a root round."""
    order = TrainOrder(down, edge, edge_round // 2 + 1, edge_round, False, down.shared, counted=counted)
    return Keeper(folder, config, order)


def network(*numbers: float) -> PackedModel:
    """Make a U-Net of which the encoder, the bottleneck and the decoder are one number each, everywhere."""
    by_part = dict(zip(PARTS, numbers, strict=True))
    arrays = [np.full(shape, by_part[part_of(name)], np.float32).ravel() for name, shape in STRUCTURE.tensors]
    return PackedModel(STRUCTURE, np.concatenate(arrays))


def numbers(model: PackedModel | CodedModel) -> list[float]:
    """Give the one number of each part that a model has."""
    found: dict[str, set[float]] = {}
    for name, array in (model.decode() if isinstance(model, CodedModel) else model).arrays():
        found.setdefault(part_of(name), set()).update(array.ravel().tolist())
    assert all(len(one) == 1 for one in found.values())
    return [found[part].pop() for part in PARTS if part in found]


def whole(*parts: float, shared: Parts = PARTS) -> Download:
    return download(network(*parts), shared=shared)


def decoder_only(number: float) -> Download:
    return download(network(0.0, 0.0, number), DECODER, DECODER)


# --- parts of its own -------------------------------------------------------------------------------


def train_once(folder: Path, edge_round: int = 0, edge: str = "edge-0") -> None:
    """Begin with 1, 2, 3, and train to 10, 20, 30."""
    one = keeper(folder, UDEC, whole(1.0, 2.0, 3.0, shared=DECODER), edge_round, edge)
    one.receive()
    assert numbers(one.report(network(10.0, 20.0, 30.0), DECODER)) == [30.0]


def test_a_first_message_is_the_whole_network(tmp_path: Path) -> None:
    assert numbers(keeper(tmp_path, UDEC, whole(1.0, 2.0, 3.0, shared=DECODER), 0).receive()) == [1.0, 2.0, 3.0]


def test_its_own_parts_are_kept_and_joined_with_what_comes(tmp_path: Path) -> None:
    train_once(tmp_path)
    later = keeper(tmp_path, UDEC, decoder_only(4.0), 1)
    assert numbers(later.receive()) == [10.0, 20.0, 4.0]
    assert numbers(later.received) == [4.0]


def test_a_whole_message_does_not_overwrite_its_own_parts(tmp_path: Path) -> None:
    train_once(tmp_path)
    again = keeper(tmp_path, UDEC, whole(5.0, 6.0, 7.0, shared=DECODER), 1)
    assert numbers(again.receive()) == [10.0, 20.0, 7.0]
    assert numbers(again.received) == [7.0]


def test_within_a_root_round_another_edge_does_not_see_what_this_one_did(tmp_path: Path) -> None:
    """Otherwise the model would depend on which edge was quicker; in the next root round all are done."""
    train_once(tmp_path, edge_round=0, edge="edge-1")
    assert numbers(keeper(tmp_path, UDEC, whole(5.0, 6.0, 7.0, shared=DECODER), 1).receive()) == [5.0, 6.0, 7.0]
    assert numbers(keeper(tmp_path, UDEC, decoder_only(8.0), 2).receive()) == [10.0, 20.0, 8.0]


def test_without_its_own_parts_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingStateError, match="no encoder and bottleneck of this client's own"):
        keeper(tmp_path, UDEC, decoder_only(4.0), 1).receive()
    train_once(tmp_path, edge_round=3)
    with pytest.raises(MissingStateError, match="of this client's own"):  # nothing from before this round
        keeper(tmp_path, UDEC, decoder_only(4.0), 1).receive()


def test_where_all_travels_nothing_is_kept(tmp_path: Path) -> None:
    one = keeper(tmp_path, small_config(), whole(1.0, 2.0, 3.0), 0)
    assert numbers(one.receive()) == [1.0, 2.0, 3.0]
    assert numbers(one.report(network(10.0, 20.0, 30.0), PARTS)) == [10.0, 20.0, 30.0]
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_is_larger_than_the_configured_one(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match=f"has {STRUCTURE.size + 1} numbers; the configured network has"):
        keeper(tmp_path, small_config(), download(packed(*[0.0] * (STRUCTURE.size + 1))), 0).receive()


# --- what rounding took away ------------------------------------------------------------------------


def report(folder: Path, config: Config, edge_round: int, parts: Parts, edge: str = "edge-0") -> list[float]:
    """Report parts of a network that is `ODD` everywhere."""
    one = keeper(folder, config, whole(0.0, 0.0, 0.0), edge_round, edge)
    one.receive()
    return numbers(one.report(network(ODD, ODD, ODD), parts))


def test_what_rounding_took_away_comes_with_the_next_message(tmp_path: Path) -> None:
    config = small_config(*FEEDBACK)
    assert report(tmp_path, config, 0, PARTS) == [1.0] * 3
    assert report(tmp_path, config, 1, PARTS) == [NEXT] * 3
    assert report(tmp_path, config, 2, PARTS) == [1.0] * 3


def test_only_reported_parts_have_lost_something(tmp_path: Path) -> None:
    config = small_config("exchange=usplit", *FEEDBACK)
    assert report(tmp_path, config, 0, DECODER) == [1.0]
    assert report(tmp_path, config, 1, ("encoder",)) == [1.0]
    assert report(tmp_path, config, 2, PARTS) == [NEXT, 1.0, NEXT]


def test_without_feedback_nothing_is_made_up_for(tmp_path: Path) -> None:
    config = small_config("codec.access.up.kind=bfloat16")
    assert [report(tmp_path, config, edge_round, PARTS) for edge_round in (0, 1, 2)] == [[1.0] * 3] * 3


# --- changes that count from what an edge sent ------------------------------------------------------


def change(base_round: int, before: PackedModel, after: PackedModel) -> Download:
    return Download(code(after, EXACT, before), after.structure, PARTS, PARTS, base_round)


def test_changes_count_from_what_this_edge_sent(tmp_path: Path) -> None:
    first, other = network(1.0, 2.0, 3.0), network(5.0, 6.0, 7.0)
    later = change(0, first, network(2.0, 2.0, 3.5))  # by +1, 0, +0.5
    for edge, sent in (("edge-0", first), ("edge-1", other)):
        one = keeper(tmp_path, CHANGES_DOWN, download(sent), 0, edge)
        one.receive()
        one.report(network(100.0, 100.0, 100.0), PARTS)
    assert numbers(keeper(tmp_path, CHANGES_DOWN, later, 1).receive()) == [2.0, 2.0, 3.5]
    assert numbers(keeper(tmp_path, CHANGES_DOWN, later, 1, "edge-1").receive()) == [6.0, 6.0, 7.5]


@pytest.mark.parametrize(("edge", "base_round"), [("edge-1", 0), ("edge-0", 1), ("edge-0", 2)])
def test_a_change_from_what_it_does_not_have(tmp_path: Path, edge: str, base_round: int) -> None:
    first = network(1.0, 2.0, 3.0)
    one = keeper(tmp_path, CHANGES_DOWN, download(first), 0)
    one.receive()
    one.report(first, PARTS)
    with pytest.raises(MissingStateError, match=f"no model of {edge}'s edge round {base_round}"):
        keeper(tmp_path, CHANGES_DOWN, change(base_round, first, first), 2, edge).receive()


# --- the previous local model -----------------------------------------------------------------------


def test_the_previous_local_model_is_the_one_before_this_round(tmp_path: Path) -> None:
    config, trained = small_config("objective=contrastive"), []
    for edge_round in range(3):
        one = keeper(tmp_path, config, whole(1.0, 2.0, 3.0), edge_round)
        before = one.restore("previous", one.structure)
        trained.append(None if before is None else numbers(before))
        one.receive()
        one.report(network(edge_round, edge_round, edge_round), PARTS)
    assert trained == [None, [0.0] * 3, [1.0] * 3]


# --- what it draws with -----------------------------------------------------------------------------


def drawn_with(folder: Path, config: Config, edge_round: int, edge: str = "edge-0") -> tuple[list[float], bool]:
    """Come with 7, 8, 9 after so many edge rounds."""
    down = whole(7.0, 8.0, 9.0, shared=config.exchange.shared)
    model, trained = keeper(folder, config, down, edge_round, edge).to_draw_with()
    return numbers(model), trained


@pytest.mark.parametrize("kind", ["udec", "ulatdec"])
def test_it_draws_with_its_model_as_it_last_trained_it(tmp_path: Path, kind: str) -> None:
    config = small_config(f"exchange={kind}")
    assert drawn_with(tmp_path, config, 0) == ([7.0, 8.0, 9.0], False)
    for edge_round, edge in ((0, "edge-0"), (1, "edge-1"), (2, "edge-0")):
        one = keeper(tmp_path, config, whole(1.0, 2.0, 3.0, shared=config.exchange.shared), edge_round, edge)
        one.receive()
        one.report(network(10.0 + edge_round, 20.0, 30.0), config.exchange.shared)
    assert drawn_with(tmp_path, config, 4) == ([12.0, 20.0, 30.0], True)
    # A run that went back to after the first root round draws as it did then, whichever edge asks.
    for edge in ("edge-0", "edge-1"):
        assert drawn_with(tmp_path, config, 2, edge) == ([11.0, 20.0, 30.0], True)


def test_it_draws_with_what_is_averaged_if_so_asked(tmp_path: Path) -> None:
    train_once(tmp_path)
    assert drawn_with(tmp_path, small_config("exchange=udec", "evaluation.clients=averaged"), 2) == (
        [10.0, 20.0, 9.0],
        False,
    )


@pytest.mark.parametrize(
    ("overrides", "kept"),
    [
        (["exchange=udec"], True),
        (["exchange=udec", "evaluation.clients=averaged"], False),
        (["exchange=usplit"], False),
        (["exchange=udec", "evaluation.clients=averaged", "objective=contrastive"], True),
    ],
)
def test_the_whole_model_is_kept_only_where_it_is_needed(tmp_path: Path, overrides: list[str], kept: bool) -> None:
    config = small_config(*overrides)
    one = keeper(tmp_path, config, whole(1.0, 2.0, 3.0, shared=config.exchange.shared), 0)
    one.receive()
    one.report(network(10.0, 20.0, 30.0), config.exchange.shared)
    assert (tmp_path / "previous").exists() == kept


# --- control variates -------------------------------------------------------------------------------

SCAFFOLD = small_config("objective=control_variates")


def report_control(one: Keeper, add: float, parts: Parts = PARTS) -> CodedModel:
    """Let c_k grow by a number everywhere."""
    one.receive()
    c_k = one.control(one.structure)
    return one.report_control(c_k, PackedModel(c_k.structure, c_k.vector + np.float32(add)), parts)


def test_control_variates_start_from_the_root_round_before(tmp_path: Path) -> None:
    def at(edge_round: int, counted: int, edge: str = "edge-0") -> Keeper:
        return keeper(tmp_path, SCAFFOLD, whole(1.0, 2.0, 3.0), edge_round, edge, counted)

    assert numbers(at(0, 0).control(STRUCTURE)) == [0.0] * 3
    assert numbers(report_control(at(0, 0), 2.0)) == [2.0] * 3
    assert numbers(at(1, 0).control(STRUCTURE)) == [0.0] * 3  # the same root round, also at this edge
    assert numbers(report_control(at(1, 0), 3.0)) == [3.0] * 3
    for edge in ("edge-0", "edge-1"):
        assert numbers(at(2, 2, edge).control(STRUCTURE)) == [3.0] * 3
    assert numbers(report_control(at(2, 2), 0.5)) == [0.5] * 3
    assert numbers(at(4, 3).control(STRUCTURE)) == [3.5] * 3


def test_control_variates_of_parts_that_are_not_reported_stay(tmp_path: Path) -> None:
    config = small_config("objective=control_variates", "exchange=usplit")
    change = report_control(keeper(tmp_path, config, whole(1.0, 2.0, 3.0), 0), 2.0, DECODER)
    assert (numbers(change), {part_of(name) for name in change.structure.shapes}) == ([2.0], set(DECODER))
    later = keeper(tmp_path, config, whole(1.0, 2.0, 3.0), 2, counted=1)
    assert numbers(later.control(STRUCTURE)) == [0.0, 0.0, 2.0]


def test_a_client_keeps_the_control_variates_that_its_coded_changes_add_up_to(tmp_path: Path) -> None:
    """... since c at the root is the mean of what was told, and c - c_k must not drift."""
    config = small_config("objective=control_variates", "codec=bfloat16")
    change = report_control(keeper(tmp_path, config, whole(1.0, 2.0, 3.0), 0), ODD)
    assert numbers(change) == [1.0] * 3
    one = keeper(tmp_path, config, whole(1.0, 2.0, 3.0), 2, counted=1)
    assert numbers(one.control(one.structure)) == [1.0] * 3


def test_a_change_that_was_lost_counts_as_never_made(tmp_path: Path) -> None:
    """... however often, and also after the root went back: the checkpoint knows what c counts."""

    def at(edge_round: int, counted: int) -> Keeper:
        return keeper(tmp_path, SCAFFOLD, whole(1.0, 2.0, 3.0), edge_round, counted=counted)

    report_control(at(1, 0), 2.0)  # is counted
    for edge_round in (3, 5, 7, 9):
        assert numbers(report_control(at(edge_round, 2), 0.5)) == [0.5] * 3  # are lost
    assert numbers(at(10, 2).control(STRUCTURE)) == [2.0] * 3
    report_control(at(11, 2), 1.0)  # is counted
    assert numbers(at(12, 12).control(STRUCTURE)) == [3.0] * 3
    assert numbers(at(10, 2).control(STRUCTURE)) == [2.0] * 3


def test_who_lost_its_control_variates_starts_anew_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert numbers(keeper(tmp_path, SCAFFOLD, whole(1.0, 2.0, 3.0), 2, counted=2).control(STRUCTURE)) == [0.0] * 3
    assert "control variates of after edge round 1 are lost or damaged" in caplog.text
    assert "it is no longer the mean of the c_k" in caplog.text


def test_damaged_control_variates_are_not_replaced_by_older_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those are not what c counts."""
    for edge_round in (1, 3):
        counted = edge_round - 1
        report_control(keeper(tmp_path, SCAFFOLD, whole(1.0, 2.0, 3.0), edge_round, counted=counted), 2.0)
    later = keeper(tmp_path, SCAFFOLD, whole(1.0, 2.0, 3.0), 4, counted=4)
    assert (numbers(later.control(STRUCTURE)), caplog.text) == ([4.0] * 3, "")
    [newest] = (tmp_path / "control").glob("00000003.*")
    newest.write_bytes(newest.read_bytes()[:-1])
    assert numbers(later.control(STRUCTURE)) == [0.0] * 3
    assert f"{newest} is damaged" in caplog.text
    assert "control variates of after edge round 3 are lost or damaged" in caplog.text

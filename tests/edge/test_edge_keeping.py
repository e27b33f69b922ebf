"""What an edge keeps from round to round, with numbers by hand, and what it then makes of the root's message."""

from pathlib import Path

import numpy as np
import pytest
from helpers import download, packed, small_config, three_parts

from fedphd.common.config import EXACT, Config
from fedphd.common.keeping.missing import MissingStateError
from fedphd.common.network.build import build_unet, dense_structure
from fedphd.common.network.lineage import Lineage
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.network.pruning import prune, prune_like
from fedphd.common.network.structure import Structure, StructureError
from fedphd.common.wire.codec.coded import CodedModel, code
from fedphd.common.wire.links import Download
from fedphd.common.wire.parts import PARTS, Parts, restrict
from fedphd.edge.keeping import EdgeKeeper
from fedphd.server.pruning_schedule import load_unet

DECODER: Parts = ("decoder",)
UDEC = small_config("exchange=udec")
CHANGES = small_config("codec.backbone.down.of=change")
ODD, NEXT = 1 + 1 / 256, 1 + 1 / 128  # bfloat16 has nothing between 1 and 1 + 1/128


def keeper(folder: Path, config: Config, root_round: int) -> EdgeKeeper:
    return EdgeKeeper(folder, config, "edge-0", root_round)


def numbers(model: PackedModel | CodedModel) -> list[float]:
    decoded = model.decode() if isinstance(model, CodedModel) else model
    return [float(number) for number in decoded.vector]


def network(*parts: float) -> PackedModel:
    return three_parts(*([number] for number in parts))


def whole(*parts: float, shared: Parts = PARTS) -> Download:
    return download(network(*parts), shared=shared)


def decoder_only(number: float) -> Download:
    return download(network(0.0, 0.0, number), DECODER, DECODER)


def change(base: int, before: PackedModel, after: PackedModel) -> Download:
    return Download(code(after, EXACT, before), after.structure, PARTS, PARTS, base)


# --- down -------------------------------------------------------------------------------------------


def test_parts_are_joined_with_the_network_of_an_earlier_round(tmp_path: Path) -> None:
    assert numbers(keeper(tmp_path, UDEC, 1).receive(whole(1.0, 2.0, 3.0, shared=DECODER))) == [1.0, 2.0, 3.0]
    assert numbers(keeper(tmp_path, UDEC, 2).receive(decoder_only(4.0))) == [1.0, 2.0, 4.0]
    assert numbers(keeper(tmp_path, UDEC, 3).receive(decoder_only(5.0))) == [1.0, 2.0, 5.0]
    assert numbers(keeper(tmp_path, UDEC, 2).receive(decoder_only(6.0))) == [1.0, 2.0, 6.0]  # the root went back


def test_a_whole_network_replaces_what_was_there(tmp_path: Path) -> None:
    keeper(tmp_path, UDEC, 1).receive(whole(1.0, 2.0, 3.0, shared=DECODER))
    assert numbers(keeper(tmp_path, UDEC, 2).receive(whole(7.0, 8.0, 9.0, shared=DECODER))) == [7.0, 8.0, 9.0]
    assert numbers(keeper(tmp_path, UDEC, 3).receive(decoder_only(4.0))) == [7.0, 8.0, 4.0]


def test_changes_count_from_the_round_that_they_name(tmp_path: Path) -> None:
    before = network(1.0, 2.0, 3.0)
    keeper(tmp_path, CHANGES, 1).receive(download(before))
    one = change(1, before, network(2.0, 2.0, 3.5))
    assert numbers(keeper(tmp_path, CHANGES, 2).receive(one)) == [2.0, 2.0, 3.5]
    assert numbers(keeper(tmp_path, CHANGES, 3).receive(one)) == [2.0, 2.0, 3.5]  # from round 1, not from the newest
    assert numbers(keeper(tmp_path, CHANGES, 3).receive(change(2, before, network(1.0, 3.0, 3.0)))) == [2.0, 3.0, 3.5]


@pytest.mark.parametrize(
    ("config", "down", "what"),
    [
        (UDEC, decoder_only(4.0), "no model of structure"),
        (CHANGES, change(1, network(0.0, 0.0, 0.0), network(1.0, 1.0, 1.0)), "no model of root round 1 of structure"),
    ],
)
def test_without_what_a_message_builds_on(tmp_path: Path, config: Config, down: Download, what: str) -> None:
    with pytest.raises(MissingStateError, match=f"edge-0 has {what}"):
        keeper(tmp_path, config, 2).receive(down)
    other = three_parts([1.0], [2.0], [3.0, 4.0])
    keeper(tmp_path, config, 1).receive(download(other, shared=down.shared))
    with pytest.raises(MissingStateError, match=f"edge-0 has {what}"):  # nor of another structure
        keeper(tmp_path, config, 2).receive(down)


def test_a_network_that_is_larger_than_the_configured_one(tmp_path: Path) -> None:
    most = dense_structure(UDEC.model).size
    with pytest.raises(StructureError, match=f"has {most + 1} numbers; the configured network has {most}"):
        keeper(tmp_path, UDEC, 1).receive(download(packed(*[0.0] * (most + 1))))


def test_an_errand_leaves_no_trace(tmp_path: Path) -> None:
    keeper(tmp_path, UDEC, 1).receive(whole(1.0, 2.0, 3.0, shared=DECODER))
    before = sorted(tmp_path.rglob("*"))
    assert numbers(keeper(tmp_path, UDEC, 2).receive(decoder_only(4.0), keep=False)) == [1.0, 2.0, 4.0]
    assert sorted(tmp_path.rglob("*")) == before


def test_where_all_travels_exactly_nothing_is_kept(tmp_path: Path) -> None:
    one = keeper(tmp_path, small_config(), 1)
    received = one.receive(whole(1.0, 2.0, 3.0))
    assert numbers(one.report(network(4.0, 5.0, 6.0), received)) == [4.0, 5.0, 6.0]
    one.keep_reference(0, received)
    assert one.reference(1, received.structure) is None
    assert list(tmp_path.iterdir()) == []


# --- up ---------------------------------------------------------------------------------------------


def test_what_rounding_took_away_comes_with_the_next_message(tmp_path: Path) -> None:
    config = small_config("codec.backbone.up.kind=bfloat16", "codec.backbone.up.error_feedback=true")
    odd, received = network(ODD, ODD, 2.0), network(0.0, 0.0, 0.0)
    reported = [numbers(keeper(tmp_path, config, root_round).report(odd, received)) for root_round in (1, 2, 3)]
    assert reported == [[1.0, 1.0, 2.0], [NEXT, NEXT, 2.0], [1.0, 1.0, 2.0]]
    assert numbers(keeper(tmp_path, config, 2).report(odd, received)) == [NEXT, NEXT, 2.0]  # asked again


@pytest.mark.parametrize("kind", ["full", "udec"])
def test_what_was_lost_is_pruned_as_the_network(tmp_path: Path, kind: str) -> None:
    """The tensors of the decoder, as their own, do not say what was pruned; the whole network does."""
    config = small_config(
        f"exchange={kind}", "codec.backbone.up.kind=bfloat16", "codec.backbone.up.error_feedback=true"
    )
    unet = build_unet(config.model, 0)
    dense, (narrow, pruning) = pack(unet.state_dict()), prune(unet, 0.25)
    sent = keeper(tmp_path, config, 1).report(dense, dense)
    lost = PackedModel(sent.structure, dense.select(sent.structure).vector - sent.decode().vector)
    assert lost.vector.any()
    # What comes next is nothing but what was lost; bfloat16 says it exactly, since it is a few low digits.
    zero = PackedModel(dense.structure, np.zeros(dense.structure.size, np.float32))
    expected = pack(prune_like(load_unet(config, zero.overlay(lost)), pruning).state_dict())
    after = PackedModel(expected.structure, np.zeros(expected.structure.size, np.float32))
    again = EdgeKeeper(tmp_path, config, "edge-0", 2, Lineage(pruning)).report(after, after)
    travels = expected.select(again.structure).vector
    np.testing.assert_allclose(again.decode().vector, travels, rtol=2**-8, atol=0)
    assert travels.any() and again.structure.size < sent.structure.size
    assert expected.structure == Structure.of(narrow.state_dict())
    untold = keeper(tmp_path, config, 2).report(after, after)  # not of this network, for all that it knows
    assert not untold.decode().vector.any()


def test_changes_up_count_from_what_was_received(tmp_path: Path) -> None:
    config = small_config("codec.backbone.up.of=change")
    coded = keeper(tmp_path, config, 1).report(network(4.0, 5.0, 6.0), network(1.0, 1.0, 2.0))
    assert coded.change
    assert numbers(coded.decode(network(0.0, 0.0, 0.0))) == [3.0, 4.0, 4.0]


# --- what the clients were sent ---------------------------------------------------------------------


def test_references_are_those_of_earlier_edge_rounds(tmp_path: Path) -> None:
    """Two edge rounds in a root round; also within it, since one edge's rounds follow each other."""
    config = small_config("codec.access.down.of=change")
    structure = network(0.0, 0.0, 0.0).structure
    first, second = keeper(tmp_path, config, 1), keeper(tmp_path, config, 2)
    assert first.reference(0, structure) is None
    first.keep_reference(0, network(1.0, 2.0, 3.0))
    for one, edge_round in ((first, 1), (second, 3)):
        found = one.reference(edge_round, structure)
        assert found is not None
        assert (found.round, numbers(found.model)) == (0, [1.0, 2.0, 3.0])
    assert first.reference(0, structure) is None  # asked again
    assert second.reference(2, three_parts([1.0], [2.0], [3.0, 4.0]).structure) is None
    second.keep_reference(2, network(4.0, 5.0, 6.0))
    found = second.reference(3, structure)
    assert found is not None
    assert found.round == 2


def test_references_hold_what_travels_and_what_does_not(tmp_path: Path) -> None:
    config = small_config("codec.access.down.of=change", "exchange=udec")
    one, sent = keeper(tmp_path, config, 1), network(1.0, 2.0, 3.0)
    one.keep_reference(0, sent)
    found = one.reference(1, sent.structure)
    assert found is not None
    assert numbers(found.model.select(restrict(sent.structure, DECODER))) == [3.0]

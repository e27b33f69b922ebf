"""What each receiver is to be sent next; and Downlink, which asks for it, sends just that."""

import numpy as np
import pytest

from fedphd.common.config import EXACT
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec import CODECS, Codec
from fedphd.common.wire.contacts import Contacts
from fedphd.common.wire.links import Downlink, Reference, codec_down
from fedphd.common.wire.parts import PARTS

DECODER = ("decoder",)
SHAPES = (("conv_in.weight", (2, 3)), ("mid_block.weight", (2, 3)), ("conv_out.weight", (2, 3)))
WIDE, NARROW = Structure(SHAPES), Structure(tuple((name, (1, 3)) for name, _ in SHAPES))
INT4_CHANGE = CODECS.read({"kind": "int4", "of": "change", "error_feedback": False, "zstd": None})


def test_the_whole_network_comes_first_and_then_what_is_shared() -> None:
    contacts = Contacts(DECODER)
    contacts.begin(WIDE, 1)
    assert contacts.wanted("a") == (PARTS, False) and not contacts.holds("a")
    contacts.confirm("a")
    assert contacts.wanted("a") == (DECODER, False) and contacts.holds("a")
    assert contacts.wanted("b") == (PARTS, False)
    contacts.forget("a")
    assert contacts.wanted("a") == (PARTS, False)


def test_a_new_structure_is_a_first_contact_with_everybody() -> None:
    contacts = Contacts(DECODER)
    contacts.begin(WIDE, 1)
    contacts.confirm("a")
    contacts.begin(NARROW, 2, reference=1)
    assert contacts.wanted("a") == (PARTS, False)


def test_a_round_that_is_repeated_is_a_first_contact_with_everybody() -> None:
    """The root went back to a checkpoint: what receivers have is of rounds that are to come."""
    contacts = Contacts(DECODER)
    for round in (1, 2, 3):
        contacts.begin(WIDE, round)
        contacts.confirm("a")
    contacts.begin(WIDE, 2)
    assert contacts.wanted("a") == (PARTS, False)


def test_a_change_needs_the_very_model_that_it_counts_from() -> None:
    contacts = Contacts(DECODER)
    contacts.begin(WIDE, 4)
    contacts.confirm("a")
    contacts.confirm("b")
    contacts.begin(WIDE, 6, reference=4)
    assert contacts.wanted("a") == (DECODER, True)
    contacts.confirm("a")  # b had no message in round 6
    contacts.begin(WIDE, 7, reference=6)
    assert contacts.wanted("a") == (DECODER, True)
    assert contacts.wanted("b") == (DECODER, False)
    contacts.begin(WIDE, 8)
    assert contacts.wanted("a") == (DECODER, False)


@pytest.mark.parametrize(
    ("codec", "change", "kind"),
    [(INT4_CHANGE, True, "int4"), (INT4_CHANGE, False, "float32"), (EXACT, False, "float32")],
)
def test_where_changes_are_sent_other_messages_are_exact(codec: Codec, change: bool, kind: str) -> None:
    assert codec_down(codec, change).kind == kind


def test_a_downlink_sends_what_is_wanted() -> None:
    first = PackedModel(WIDE, np.arange(18, dtype=np.float32))
    second = PackedModel(WIDE, np.arange(18, dtype=np.float32) + 1)
    downlink = Downlink(INT4_CHANGE, DECODER)
    downlink.begin(first, 1)
    assert downlink.message("a").whole and downlink.message("a").model.kind == "float32"
    downlink.confirm("a")
    downlink.begin(second, 2, Reference(1, first))
    known, strange = downlink.message("a"), downlink.message("b")
    assert (known.parts, known.base, known.model.kind, known.model.change) == (DECODER, 1, "int4", True)
    assert (strange.parts, strange.base, strange.model.kind) == (PARTS, None, "float32")
    # The stranger gets what the other one now has, so that all have the same numbers.
    assert (strange.model.decode().vector[12:] == known.model.decode(first.select(known.model.structure)).vector).all()
    assert (downlink.sent.vector == strange.model.decode().vector).all()

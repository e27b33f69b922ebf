"""Models down and up a hop: whoever has what, sender and receivers end with the same numbers."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from helpers import SHARED, exact, packed
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedphd.common.config import EXACT
from fedphd.common.network.packing import PackedModel, Vector
from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec import CODECS, Codec, CodecError
from fedphd.common.wire.links import Downlink, Download, Reference, decode_upload, lossless, standalone, upload
from fedphd.common.wire.parts import PARTS, Parts, restrict

# One matrix and one bias in each part: the matrices are rounded by int8 and int4.
SHAPES = {"conv_in": (3, 4), "mid_block": (2, 5), "conv_out": (4, 3)}
STRUCTURE = Structure(
    tuple(one for name, shape in SHAPES.items() for one in ((f"{name}.weight", shape), (f"{name}.bias", shape[:1])))
)
KINDS = ["float32", "float16", "bfloat16", "int8"]
VECTORS = arrays(np.float32, STRUCTURE.size, elements=st.floats(-8, 8, width=32))


def codec(kind: str, of: str, error_feedback: bool = False, rounding: str = "nearest") -> Codec:
    return CODECS.read({"kind": kind, "of": of, "rounding": rounding, "error_feedback": error_feedback, "zstd": None})


def model(vector: Vector) -> PackedModel:
    return PackedModel(STRUCTURE, vector)


def random_models(count: int, seed: int = 0) -> list[PackedModel]:
    """Make successive models, each a small step from the one before."""
    steps = np.random.default_rng(seed).normal(0, 0.1, (count, STRUCTURE.size))
    return [model(one) for one in np.cumsum(steps, axis=0).astype(np.float32)]


@dataclass
class Receiver:
    """Keeps what came, as a receiver does: the whole network, and by round the parts that travel."""

    network: PackedModel | None = None
    received: dict[int, PackedModel] = field(default_factory=dict)

    def take(self, download: Download, round: int) -> PackedModel:
        decoded = download.model.decode(None if download.base is None else self.received[download.base])
        if download.whole:
            self.network = decoded
        else:
            assert self.network is not None, "parts came before the whole network"
            self.network = self.network.overlay(decoded)
        self.received[round] = decoded.select(restrict(download.structure, download.shared))
        return self.network


# --- down -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SHARED)
def test_the_first_contact_is_whole_and_then_only_shared_parts_come(kind: str) -> None:
    downlink = Downlink(EXACT, SHARED[kind])
    for round, one in enumerate(random_models(3), start=1):
        downlink.begin(one, round)
        download = downlink.message("a")
        assert download.parts == (PARTS if round == 1 else SHARED[kind])
        assert (download.shared, download.base, download.structure) == (SHARED[kind], None, STRUCTURE)
        assert download.model.structure == restrict(STRUCTURE, download.parts)
        assert downlink.message("b").whole  # was not there before
        downlink.confirm("a")


def test_all_that_get_the_same_share_one_message() -> None:
    """... so that a model is coded once for each kind of message, not once for each receiver."""
    downlink = Downlink(EXACT, ("decoder",))
    first, second = random_models(2)
    downlink.begin(first, 1)
    assert downlink.message("a") is downlink.message("b")
    downlink.confirm("a")
    assert downlink.message("a") is not downlink.message("b")
    before = downlink.message("b")
    downlink.begin(second, 2)
    assert downlink.message("b") is not before


def test_a_pruned_network_is_a_first_contact() -> None:
    downlink = Downlink(EXACT, ("decoder",))
    downlink.begin(random_models(1)[0], 1)
    downlink.confirm("a")
    narrow = Structure(tuple((name, (2, *shape[1:])) for name, shape in STRUCTURE.tensors))
    pruned = PackedModel(narrow, np.ones(narrow.size, np.float32))
    downlink.begin(pruned, 2, Reference(1, random_models(1)[0]))
    assert downlink.message("a").whole
    assert downlink.message("a").model.decode().hash == pruned.hash


def test_who_may_have_lost_it_gets_all_again() -> None:
    downlink = Downlink(codec("float32", "change"), ("decoder",))
    first, second = random_models(2)
    downlink.begin(first, 1)
    downlink.confirm("a")
    downlink.confirm("b")
    downlink.forget("a")
    downlink.forget("never seen")
    downlink.begin(second, 2, Reference(1, downlink.sent))
    assert (downlink.message("a").whole, downlink.message("a").base) == (True, None)
    assert (downlink.message("b").whole, downlink.message("b").base) == (False, 1)


@pytest.mark.parametrize("of", ["weights", "change"])
def test_float32_weights_arrive_bit_for_bit(of: str) -> None:
    [one] = random_models(1)
    downlink = Downlink(codec("float32", of), PARTS)
    downlink.begin(one, 1)
    assert downlink.sent.hash == downlink.message("a").model.decode().hash == one.hash


@settings(deadline=None)
@given(VECTORS, st.sampled_from([*KINDS[1:]]), st.sampled_from([PARTS, ("bottleneck", "decoder"), ("decoder",)]))
def test_sent_is_what_receivers_decode_bit_for_bit(vector: Vector, kind: str, shared: Parts) -> None:
    """... of the parts that travel, whether the whole network came or they alone."""
    downlink = Downlink(codec(kind, "weights"), shared)
    downlink.begin(model(vector), 1)
    travelling = restrict(STRUCTURE, shared)
    whole = downlink.message("a")
    downlink.confirm("a")
    parts = downlink.message("a")
    expected = downlink.sent.select(travelling).hash
    assert whole.model.decode().select(travelling).hash == expected
    assert parts.model.decode().hash == expected


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([*KINDS, "int4"]),
    st.sampled_from([PARTS, ("bottleneck", "decoder"), ("decoder",)]),
    st.lists(st.tuples(st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("abc"))), min_size=1, max_size=6),
    st.integers(0, 99),
)
def test_after_each_change_all_receivers_have_the_same_numbers(
    kind: str, shared: Parts, rounds: list[tuple[set[str], set[str]]], seed: int
) -> None:
    """Whoever is asked in a round, and whoever lost all before it: the result is the sender's `sent`."""
    downlink, receivers = Downlink(codec(kind, "change"), shared), {name: Receiver() for name in "abc"}
    travelling, reference = restrict(STRUCTURE, shared), None
    for round, ((asked, lost), one) in enumerate(zip(rounds, random_models(len(rounds), seed), strict=True), start=1):
        for name in lost:
            receivers[name] = Receiver()
            downlink.forget(name)
        downlink.begin(one, round, reference)
        for name in sorted(asked):
            network = receivers[name].take(downlink.message(name), round)
            downlink.confirm(name)
            assert network.select(travelling).hash == downlink.sent.select(travelling).hash
        np.testing.assert_allclose(downlink.sent.vector, one.vector, atol=0.05)  # int4: a 14th of a change of 0.7
        reference = Reference(round, downlink.sent)


def test_changes_are_small_messages_and_build_on_the_rounded_model() -> None:
    """Rounding does not add up: each change counts from what was received, which holds the error before it."""
    downlink, receiver, reference = Downlink(codec("int4", "change"), PARTS), Receiver(), None
    for round, one in enumerate(random_models(40), start=1):
        downlink.begin(one, round, reference)
        download = downlink.message("a")
        assert (download.base, download.model.kind) == ((None, "float32") if round == 1 else (round - 1, "int4"))
        network = receiver.take(download, round)
        np.testing.assert_allclose(network.vector, one.vector, atol=0.1)
        downlink.confirm("a")
        reference = Reference(round, downlink.sent)


def test_weights_do_not_look_at_what_was_sent_before() -> None:
    first, second = random_models(2)
    downlink = Downlink(codec("int8", "weights"), PARTS)
    downlink.begin(first, 1)
    downlink.confirm("a")
    downlink.begin(second, 2, Reference(1, first))
    assert (downlink.message("a").base, downlink.message("a").model.change) == (None, False)


@pytest.mark.parametrize("shared", [PARTS, ("bottleneck", "decoder"), ("decoder",)])
def test_rounded_at_random_all_receivers_have_the_same_numbers_too(shared: Parts) -> None:
    one, two = random_models(2)
    sent = []
    for seed in (5, 5, 6):
        downlink = Downlink(codec("int8", "weights", rounding="stochastic"), shared, seed)
        downlink.begin(one, 1)
        whole, expected = downlink.message("a"), downlink.sent.select(restrict(STRUCTURE, shared)).hash
        downlink.confirm("a")
        assert downlink.message("a").model.decode().hash == expected
        assert whole.model.decode().select(restrict(STRUCTURE, shared)).hash == expected
        downlink.begin(two, 2)
        sent.append((expected, downlink.sent.hash))
    assert sent[0] == sent[1] != sent[2]


@pytest.mark.parametrize(("kind", "of"), [("int8", "weights"), ("bfloat16", "weights"), ("int4", "change")])
def test_what_rounding_takes_away_on_the_way_down_is_given_back(kind: str, of: str) -> None:
    """Receivers always answer the same small step. Fed back, it adds up; otherwise some numbers stay where they are."""
    start, step = random_models(1, seed=3)[0], np.float32(2e-4)

    def after(rounds: int, feedback: bool) -> Vector:
        downlink, own, reference = Downlink(codec(kind, of, feedback), PARTS), start, None
        for round in range(1, rounds + 1):
            downlink.begin(own, round, reference)
            own = downlink.restored(PackedModel(STRUCTURE, downlink.sent.vector + step))
            reference = Reference(round, downlink.sent)
        return own.vector - start.vector

    np.testing.assert_allclose(after(50, feedback=True), 50 * step, rtol=0, atol=1e-5)
    if of == "weights":
        assert np.abs(after(50, feedback=False) - 50 * step).max() > 20 * step


# --- up ---------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(VECTORS, VECTORS, st.sampled_from(list(SHARED.values())))
def test_a_float32_upload_is_exact(trained: Vector, received: Vector, reports: Parts) -> None:
    reported = restrict(STRUCTURE, reports)
    coded, rest = upload(model(trained).select(reported), model(received), EXACT, None)
    assert rest is None
    assert decode_upload(coded, model(received), EXACT).hash == model(trained).select(reported).hash


@settings(deadline=None)
@given(VECTORS, VECTORS, st.sampled_from([*KINDS, "int4"]), st.sampled_from(list(SHARED.values())))
def test_a_change_counts_from_what_came(trained: Vector, received: Vector, kind: str, reports: Parts) -> None:
    reported = restrict(STRUCTURE, reports)
    part = model(trained).select(reported)
    coded, rest = upload(part, model(received), codec(kind, "change"), None)
    assert coded.change and rest is None
    back = decode_upload(coded, model(received), codec(kind, "change"))
    assert back.structure == reported
    # A change is at most 16; int4 has half a step of 16 / 7, the floats and sums far less.
    np.testing.assert_allclose(back.vector, part.vector, atol=16 / 7 / 2 + 1e-5 if kind == "int4" else 0.07)


def test_what_rounding_took_away_by_hand() -> None:
    """Codes of a row are whole multiples of 7 / 7 = 1: 2.4 goes as 2, and the next time 2.4 + 0.4 as 3."""
    structure = Structure((("conv_in.weight", (1, 2)),))
    trained, received = (PackedModel(structure, np.float32(numbers)) for numbers in ([7.0, 2.4], [0.0, 0.0]))
    feedback = codec("int4", "change", error_feedback=True)
    first, rest = upload(trained, received, feedback, None)
    assert decode_upload(first, received, feedback).vector.tolist() == [7.0, 2.0]
    np.testing.assert_allclose(rest.vector, [0.0, 0.4], atol=1e-6)
    second, rest = upload(trained, received, feedback, rest)
    assert decode_upload(second, received, feedback).vector.tolist() == [7.0, 3.0]
    np.testing.assert_allclose(rest.vector, [0.0, -0.2], atol=1e-6)


@pytest.mark.parametrize("of", ["weights", "change"])
@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_with_error_feedback_the_sum_is_the_truth_up_to_one_rounding(kind: str, of: str) -> None:
    received, residual = model(np.zeros(STRUCTURE.size, np.float32)), None
    truth = received.vector.astype(np.float64)
    with_feedback, without = truth.copy(), truth.copy()
    for one in random_models(60, seed=5):
        # A drift that int4 alone would round to zero, beside one large number for each channel.
        trained = model(one.vector * np.float32(0.01) + np.float32([1.0, *[0.03] * (STRUCTURE.size - 1)]))
        truth += trained.vector
        coded, residual = upload(trained, received, codec(kind, of, error_feedback=True), residual)
        with_feedback += decode_upload(coded, received, codec(kind, of)).vector
        plainly, _ = upload(trained, received, codec(kind, of), None)
        without += decode_upload(plainly, received, codec(kind, of)).vector
        np.testing.assert_allclose(with_feedback + residual.vector, truth, atol=1e-4)
    assert np.abs(with_feedback - truth).max() < np.abs(without - truth).max() / 5


def test_a_hostile_change_is_refused_when_it_is_decoded() -> None:
    received = packed(3e38)
    coded = replace(exact(packed(3e38)), change=True)
    with pytest.raises(CodecError, match="not finite"):
        decode_upload(coded, received, codec("float32", "change"))


@pytest.mark.parametrize("kind", [*KINDS, "int4"])
def test_what_must_come_as_it_is_goes_as_float32(kind: str) -> None:
    rounded = codec(kind, "change", error_feedback=True).model_copy(update={"zstd": 3, "rounding": "stochastic"})
    way = lossless(rounded)
    assert (way.kind, way.of, way.rounding, way.error_feedback, way.zstd) == ("float32", "weights", "nearest", False, 3)


@pytest.mark.parametrize(("kind", "expected"), [(kind, kind) for kind in KINDS] + [("int4", "int8")])
def test_what_follows_no_sent_model_goes_as_weights_of_at_least_8_bits(kind: str, expected: str) -> None:
    way = standalone(codec(kind, "change", error_feedback=True).model_copy(update={"zstd": 3}))
    assert (way.kind, way.of, way.error_feedback, way.zstd) == (expected, "weights", False, 3)

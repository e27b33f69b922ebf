"""How models cross a hop: down from one sender to many receivers, up from each of them.

A message down holds the whole network at the first contact, and then only what the exchange shares. It holds weights,
or, where the codec says so, the change since the model that the sender sent the last time (its *reference*). A receiver
that does not have the reference gets the new one in float32, so after each round all receivers have the same numbers,
and the result does not depend on who had what.

What rounds at random draws from the stream of its message (`rounding_seed`), so a repeated message has the same bytes.
"""

from dataclasses import dataclass

import numpy as np

from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.training.seeding import derive_seed
from fedphd.common.wire.codec import Codec, CodecError
from fedphd.common.wire.codec.coded import CodedModel, code, code_with_feedback
from fedphd.common.wire.contacts import Contacts
from fedphd.common.wire.parts import PARTS, Parts, restrict

LARGEST_CHANGE = 1e30  # of a client's control variates


@dataclass(frozen=True, eq=False)
class Download:
    """A model on its way down.

    Attributes
    ----------
    model : CodedModel
        All tensors of the network, or those of the parts that travel.
    structure : Structure
        The whole network's.
    parts : tuple[str, ...]
        The parts that `model` holds.
    shared : tuple[str, ...]
        The parts that travel after the first contact; each receiver keeps the others for itself.
    base : int or None
        The round whose model the numbers are a change from.
    """

    model: CodedModel
    structure: Structure
    parts: Parts
    shared: Parts
    base: int | None = None

    @property
    def whole(self) -> bool:
        """Whether all parts are in it."""
        return self.parts == PARTS


@dataclass(frozen=True)
class Reference:
    """The model that a sender sent in a round, as its receivers have it."""

    round: int
    model: PackedModel


class Downlink:
    """The sender's side of the way down.

    Parameters
    ----------
    codec : Codec
        Of this hop's way down.
    shared : tuple[str, ...]
        The parts that travel after the first contact.
    seed : int, optional
        Names the sender's stream, for a codec that rounds at random.
    """

    def __init__(self, codec: Codec, shared: Parts, seed: int | None = None) -> None:
        self.codec = codec
        self.shared = shared
        self.seed = seed
        self.contacts = Contacts(shared)
        self._reference: Reference | None = None
        self._change: CodedModel | None = None
        self._sent: PackedModel | None = None
        self._model: PackedModel | None = None  # the sender's own, not rounded
        self._message_seed: int | None = None
        self._source: PackedModel | None = None  # what is coded where no change is sent
        self._downloads: dict[tuple[Parts, bool], Download] = {}

    @property
    def sent(self) -> PackedModel:
        """The present round's model as its receivers have it (their own parts aside)."""
        assert self._sent is not None  # after `begin`
        return self._sent

    def begin(self, model: PackedModel, round: int, reference: Reference | None = None) -> None:
        """Take the model of a round.

        Parameters
        ----------
        model : PackedModel
            The whole network. A new structure is a first contact with everybody.
        round : int
            Names what is sent.
        reference : Reference or None
            What was sent before this round; used where the codec sends changes.
        """
        self._downloads, self._change, self._reference = {}, None, None
        shared = restrict(model.structure, self.shared)
        self._source = self._sent = self._model = model
        self._message_seed = None if self.seed is None else derive_seed(self.seed, round)
        if self.codec.of == "weights":
            if not self.codec.exact:
                self._sent = model.overlay(code(model.select(shared), self.codec, seed=self._message_seed).decode())
        elif reference is not None and reference.model.structure == model.structure:
            before = reference.model.select(shared)
            self._change = code(model.select(shared), self.codec, before, self._message_seed)
            self._reference = reference
            self._source = self._sent = model.overlay(self._change.decode(before))
        self.contacts.begin(model.structure, round, self._reference.round if self._reference is not None else None)

    def restored(self, answer: PackedModel) -> PackedModel:
        """Give back to an average of the answers what rounding took away on the way down, if the codec says so.

        Receivers answer y = Q(x) + d to Q(x); the sender's next model is then y + x - Q(x) = x + d, so that x moves by
        all that the answers say, and rounding errors do not add up over the rounds (ours).
        """
        if not self.codec.error_feedback:
            return answer
        assert self._model is not None  # after `begin`
        return PackedModel(answer.structure, answer.vector + (self._model.vector - self.sent.vector))

    def message(self, receiver: str) -> Download:
        """Give what is to be sent to a receiver; one object for all that get the same."""
        parts, change = self.contacts.wanted(receiver)
        if (parts, change) not in self._downloads:
            self._downloads[parts, change] = self._coded(parts, change)
        return self._downloads[parts, change]

    def holds(self, receiver: str) -> bool:
        """Whether a receiver had its first contact, and so its own parts."""
        return self.contacts.holds(receiver)

    def confirm(self, receiver: str) -> None:
        """Note that a receiver has the present round's model."""
        self.contacts.confirm(receiver)

    def forget(self, receiver: str) -> None:
        """Note that a receiver may have lost what it had: it gets the whole network the next time."""
        self.contacts.forget(receiver)

    def _coded(self, parts: Parts, change: bool) -> Download:
        assert self._source is not None  # after `begin`
        structure = self._source.structure
        if change:
            assert self._change is not None and self._reference is not None  # as `message` found
            return Download(self._change, structure, self.shared, self.shared, self._reference.round)
        numbers = self._source.select(restrict(structure, parts))
        coded = code(numbers, codec_down(self.codec, change), seed=self._message_seed)
        return Download(coded, structure, parts, self.shared)


def codec_down(codec: Codec, change: bool) -> Codec:
    """Give the codec of a message down: where changes are sent, the receiver of none gets the model in float32."""
    return codec if change or codec.of == "weights" else codec.like("float32", rounding="nearest")


def rounding_seed(seed: int, way: str, sender: str, round: int | None = None) -> int:
    """Name the stream from which a sender's messages one way, or that of one round, are rounded."""
    stream = derive_seed(seed, "rounding", way, sender)
    return stream if round is None else derive_seed(stream, round)


def upload(
    model: PackedModel, received: PackedModel, codec: Codec, residual: PackedModel | None, seed: int | None = None
) -> tuple[CodedModel, PackedModel | None]:
    """Code what goes up.

    Parameters
    ----------
    model : PackedModel
        The tensors that are reported.
    received : PackedModel
        What came down, of these and perhaps other tensors.
    codec : Codec
        Of this hop's way up.
    residual : PackedModel or None
        What rounding took away from the sender's last message, of the same tensors.
    seed : int, optional
        Of the message, for a codec that rounds at random.

    Returns
    -------
    tuple[CodedModel, PackedModel or None]
        The message, and what rounding took away from it where the codec feeds it back.
    """
    base = received.select(model.structure) if codec.of == "change" else None
    if not codec.error_feedback:
        return code(model, codec, base, seed), None
    coded, rest = code_with_feedback(model, codec, base, None if residual is None else residual.vector, seed)
    return coded, PackedModel(model.structure, rest)


def decode_upload(coded: CodedModel, sent: PackedModel, codec: Codec) -> PackedModel:
    """Decode what came up in answer to `sent`, which the answerer has as it is.

    Raises
    ------
    CodecError
        If it cannot be decoded, or is a change where `codec` sends weights, or the other way round.
    """
    return coded.decode(sent.select(coded.structure) if codec.of == "change" else None)


def decode_control(coded: CodedModel, members: int = 1) -> PackedModel:
    """Decode a change of control variates, or the sum of `members` such.

    Raises
    ------
    CodecError
        If it cannot be decoded, or a number is so large that sums over clients and rounds might not stay finite.
    """
    change = coded.decode()
    if np.abs(change.vector).max(initial=0.0) > LARGEST_CHANGE * members:
        raise CodecError(f"a change of control variates is beyond {LARGEST_CHANGE:g}")
    return change


def lossless(codec: Codec) -> Codec:
    """Give the codec for what must come as it is, since nothing feeds back what rounding takes: float32."""
    return codec.like("float32", of="weights", rounding="nearest", error_feedback=False)


def standalone(codec: Codec) -> Codec:
    """Give the codec for what is no successor of a model that was sent: weights of at least 8 bits, to the nearest."""
    return codec.like(codec.weights_as, of="weights", rounding="nearest", error_feedback=False)

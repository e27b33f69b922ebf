"""A model as coded bytes, from and to packed float32 numbers."""

from dataclasses import dataclass

import numpy as np

from fedphd.common.network.packing import PackedModel, Vector
from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec.base import CODECS, Codec
from fedphd.common.wire.codec.compression import compress, decompress
from fedphd.common.wire.codec.errors import CodecError
from fedphd.common.wire.codec.stype import stype_of


@dataclass(frozen=True)
class CodedModel:
    """A model's numbers as they travel; the package's text has the format.

    Attributes
    ----------
    structure : Structure
        Of what is sent, perhaps only some tensors of a network.
    kind : str
        float32, float16, bfloat16, int8 or int4.
    zstd : int or None
        Level of compression; None: not compressed. To a receiver any level means the same.
    change : bool
        Whether the numbers are a change, to be added to a base that the receiver has.
    data : bytes
        The coded numbers.
    """

    structure: Structure
    kind: str
    zstd: int | None
    change: bool
    data: bytes

    @property
    def stype(self) -> str:
        """Serialisation type on the wire."""
        return stype_of(self.kind, self.zstd is not None)

    @property
    def nbytes(self) -> int:
        """Length of the data in bytes."""
        return len(self.data)

    def decode(self, base: PackedModel | None = None) -> PackedModel:
        """Decode the numbers; nothing about the data is trusted.

        Parameters
        ----------
        base : PackedModel, optional
            What a change is added to; None where weights are expected.

        Returns
        -------
        PackedModel
            All numbers finite. As float32 it is a read-only view of the data.

        Raises
        ------
        CodecError
            If the data have another length than the structure's, or numbers, scales or codes that cannot be;
            if it is a change without a base, or weights with one.
        ValueError
            If the base has another structure.
        """
        if self.change != (base is not None):
            other = "a change where weights were" if self.change else "weights where a change was"
            raise CodecError(f"is {other} asked for")
        if base is None:
            return PackedModel(self.structure, self._numbers())
        _check_base(base, self.structure)
        with np.errstate(over="ignore"):
            vector = base.vector + self._numbers()
        if not np.isfinite(vector).all():
            raise CodecError("the base and its change together are not finite")
        return PackedModel(self.structure, vector)

    def _numbers(self) -> Vector:
        codec = CODECS.find(self.kind)
        size = codec.nbytes(self.structure)
        data = self.data if self.zstd is None else decompress(self.data, size)
        if len(data) != size:
            raise CodecError(f"{self.kind} data has {len(data)} bytes instead of {size}")
        payload = np.frombuffer(data, np.uint8)
        return codec.decode(self.structure, payload)


def code(model: PackedModel, codec: Codec, base: PackedModel | None = None, seed: int | None = None) -> CodedModel:
    """Code a model, or its change since `base`; the same bytes for the same numbers (and release of zstd).

    Parameters
    ----------
    model : PackedModel
        What the receiver is to have.
    codec : Codec
        Kind and compression; whether weights or a change are sent is told by `base` alone.
    base : PackedModel, optional
        What the receiver has, of the same structure: then the difference is coded, in float32.
    seed : int, optional
        Of the message, for a codec that rounds at random.

    Raises
    ------
    FloatingPointError
        If a number, or its change, is not finite.
    ValueError
        If the base has another structure.
    """
    return _coded(model.structure, codec, base is not None, _to_send(model, base), seed)


def code_with_feedback(
    model: PackedModel, codec: Codec, base: PackedModel | None, residual: Vector | None, seed: int | None = None
) -> tuple[CodedModel, Vector]:
    """Code a model, or its change, and what rounding took away from the messages before it.

    Error feedback: x = (model - base) + residual is sent as Q(x), and x - Q(x) is the next residual (Seide et al.
    2014, 1-bit SGD; Karimireddy et al. 2019, Algorithm 1). So nothing is lost over the rounds, only late.

    Parameters
    ----------
    model, codec, base, seed
        As for `code`.
    residual : NDArray[float32] or None
        The sender's own, from its last message; shape (structure.size,). None: the first message.

    Returns
    -------
    tuple[CodedModel, NDArray[float32]]
        The message, and the next residual.

    Raises
    ------
    FloatingPointError
        If a number to send is not finite.
    ValueError
        If the base has another structure, or the residual another shape.
    """
    numbers = _to_send(model, base)
    if residual is not None:
        if residual.shape != numbers.shape:
            raise ValueError(f"residual has shape {residual.shape} instead of {numbers.shape}")
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = numbers + residual
    coded = _coded(model.structure, codec, base is not None, numbers, seed)
    return coded, numbers - coded._numbers()


def _to_send(model: PackedModel, base: PackedModel | None) -> Vector:
    if base is None:
        return model.vector
    _check_base(base, model.structure)
    with np.errstate(over="ignore", invalid="ignore"):
        return model.vector - base.vector


def _coded(structure: Structure, codec: Codec, change: bool, numbers: Vector, seed: int | None) -> CodedModel:
    if not np.isfinite(numbers).all():
        what = "change" if change else "model"
        raise FloatingPointError(f"the {what} to be sent has numbers that are not finite: has the training diverged?")
    payload = codec.encode(structure, numbers, seed)
    data = payload.tobytes() if codec.zstd is None else compress(payload, codec.zstd)
    return CodedModel(structure, codec.kind, codec.zstd, change, data)


def _check_base(base: PackedModel, structure: Structure) -> None:
    if base.structure != structure:
        raise ValueError(f"the base has structure {base.structure.id} instead of {structure.id}")

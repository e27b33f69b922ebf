"""Every codec on the CIFAR-10 U-Net: bytes, error and time beside float32, in one run.

Weights are the U-Net's initial ones; the change is Gaussian, with 2 % of each tensor's norm. Trained networks have
heavier tails than either, so that their errors at 8 and 4 bits are larger. The error is that of all numbers together,
|decoded - sent| / |sent|.
"""

import time

import numpy as np
from numpy.linalg import norm

from fedphd.common.config import compose
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.wire.codec import CODECS, Codec
from fedphd.common.wire.codec.coded import CodedModel, code

KINDS = ("float32", "float16", "bfloat16", "int8", "int4")
REPEATS = 3


def gaussian_change(model: PackedModel) -> PackedModel:
    rng = np.random.default_rng(0)
    arrays = []
    for _, array in model.arrays():
        noise = rng.standard_normal(array.size, dtype=np.float32)
        arrays.append(noise * np.float32(0.02 * norm(array) / norm(noise)))
    return PackedModel(model.structure, np.concatenate(arrays))


def measure(model: PackedModel, codec: Codec) -> tuple[CodedModel, float, float, float]:
    """Code and decode: the message, its relative error, and the best wall seconds of a few runs each way."""
    coding, decoding = [], []
    for _ in range(REPEATS):
        started = time.perf_counter()
        coded = code(model, codec)
        between = time.perf_counter()
        decoded = coded.decode()
        coding.append(between - started)
        decoding.append(time.perf_counter() - between)
    return coded, float(norm(decoded.vector - model.vector) / norm(model.vector)), min(coding), min(decoding)


def main() -> None:
    weights = pack(build_unet(compose(["model=ddpm_cifar10"]).model, seed=0).state_dict())
    print(f"coding the {weights.structure.size:,} numbers of the CIFAR-10 U-Net")
    print("numbers  codec          MB    share  error    code s  decode s  time ratio")
    for name, model in (("weights", weights), ("change", gaussian_change(weights))):
        plain_bytes = plain_seconds = 0.0
        for zstd in (None, 3):
            for kind in KINDS:
                codec = CODECS.read({"kind": kind, "of": "weights", "error_feedback": False, "zstd": zstd})
                coded, error, coding, decoding = measure(model, codec)
                if not plain_bytes:  # the first one is float32, uncompressed
                    plain_bytes, plain_seconds = coded.nbytes, coding + decoding
                print(
                    f"{name:7}  {coded.stype.removeprefix('fedphd.'):13}  {coded.nbytes / 1e6:5.1f}"
                    f"  {coded.nbytes / plain_bytes:5.3f}  {error:.1e}  {coding:6.2f}  {decoding:8.2f}"
                    f"  {(coding + decoding) / plain_seconds:10.1f}"
                )


if __name__ == "__main__":
    main()

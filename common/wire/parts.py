"""Which parts of the U-Net travel, and who reports them (FedDiffuse, arXiv:2406.12575).

The parts are named by tensors' names, as in diffusers: the encoder is all up to the bottleneck, with the
time embedding; the decoder is all after it, with the output. What never travels is personal: each client
trains its own and keeps it.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from fedphd.common.network.structure import Structure
from fedphd.common.training.seeding import numpy_rng

ENCODER, BOTTLENECK, DECODER = PARTS = ("encoder", "bottleneck", "decoder")
Parts = tuple[str, ...]

PREFIXES = {
    "conv_in": ENCODER,
    "time_proj": ENCODER,
    "time_embedding": ENCODER,
    "class_embedding": ENCODER,
    "down_blocks": ENCODER,
    "mid_block": BOTTLENECK,
    "up_blocks": DECODER,
    "conv_norm_out": DECODER,
    "conv_out": DECODER,
}
SHARED: dict[str, Parts] = {"full": PARTS, "usplit": PARTS, "ulatdec": (BOTTLENECK, DECODER), "udec": (DECODER,)}


def part_of(tensor: str) -> str:
    """Name the part that a tensor belongs to.

    Raises
    ------
    ValueError
        If its name does not tell.
    """
    prefix = tensor.split(".", maxsplit=1)[0]
    if prefix not in PREFIXES:
        raise ValueError(f"tensor {tensor} belongs to no part; names must begin with {', '.join(PREFIXES)}")
    return PREFIXES[prefix]


@lru_cache(maxsize=64)
def restrict(structure: Structure, parts: Parts) -> Structure:
    """Keep the tensors of some parts; the structure itself if that is all of them."""
    if parts == PARTS:
        return structure  # whatever its names are
    kept = tuple((name, shape) for name, shape in structure.tensors if part_of(name) in parts)
    return structure if kept == structure.tensors else Structure(kept)


def reports(kind: str, clients: Sequence[str], seed: int, edge: str, edge_round: int) -> dict[str, Parts]:
    """Say which parts each client of an edge round reports.

    USPLIT takes the clients in pairs, in a random order: one reports the decoder, the other the encoder, and a
    fair coin decides which of the two also reports the bottleneck. A last client without a partner reports the
    bottleneck and, by a coin, encoder or decoder; a single one reports everything (the authors' code,
    `create_training_tasks`). Under a hierarchy each edge pairs its own clients (ours).

    Parameters
    ----------
    kind : str
        `exchange.kind`.
    clients : Sequence[str]
        The clients that train at this edge in this edge round.
    seed, edge, edge_round : int, str, int
        Name the random stream.
    """
    if kind != "usplit" or len(clients) < 2:
        return dict.fromkeys(clients, SHARED[kind])
    rng = numpy_rng(seed, "usplit", edge, edge_round)
    order = [clients[index] for index in rng.permutation(len(clients))]
    drawn: dict[str, Parts] = {}
    for first, second in zip(order[::2], order[1::2], strict=False):
        heads = _coin(rng)
        drawn[first] = (BOTTLENECK, DECODER) if heads else (DECODER,)
        drawn[second] = (ENCODER,) if heads else (ENCODER, BOTTLENECK)
    if len(order) % 2:
        drawn[order[-1]] = (ENCODER, BOTTLENECK) if _coin(rng) else (BOTTLENECK, DECODER)
    return {client: drawn[client] for client in clients}


def averaged_groups(kind: str) -> list[Parts]:
    """List the parts that are averaged apart, since different clients report them."""
    return [(part,) for part in PARTS] if kind == "usplit" else [SHARED[kind]]


def _coin(rng: np.random.Generator) -> bool:
    return bool(rng.integers(2))

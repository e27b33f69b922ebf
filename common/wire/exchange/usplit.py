"""All parts go down, and the clients of a pair share the report among them (FedDiffuse USPLIT)."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from fedphd.common.training.seeding import numpy_rng
from fedphd.common.wire.exchange.base import EXCHANGES, Exchange
from fedphd.common.wire.parts import BOTTLENECK, DECODER, ENCODER, Parts


@EXCHANGES.register("usplit")
class USplit(Exchange):
    """Clients pair up; one reports the decoder, the other the encoder."""

    apart: ClassVar[bool] = True

    def reports(self, clients: Sequence[str], seed: int, edge: str, edge_round: int) -> dict[str, Parts]:
        """Draw the pairs.

        USPLIT takes the clients in pairs, in a random order: one reports the decoder, the other the encoder, and a
        fair coin decides which of the two also reports the bottleneck. A last client without a partner reports the
        bottleneck and, by a coin, encoder or decoder; a single one reports everything (the authors' code,
        `create_training_tasks`). Under a hierarchy each edge pairs its own clients (ours).
        """
        if len(clients) < 2:
            return dict.fromkeys(clients, self.shared)
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


def _coin(rng: np.random.Generator) -> bool:
    return bool(rng.integers(2))

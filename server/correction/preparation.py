"""Before the first round: local models come from the clients, and the auxiliary set is drawn from them."""

from collections.abc import Callable

from fedphd.common.network.packing import PackedModel
from fedphd.common.run.events import Pretrain
from fedphd.server.correction.auxiliary import AuxiliarySet
from fedphd.server.pruning_schedule import load_unet


def prepare(auxiliary: AuxiliarySet, fetch: Callable[[str], PackedModel]) -> None:
    """Complete the auxiliary set; what an earlier start has stored is not asked for again.

    Parameters
    ----------
    auxiliary : AuxiliarySet
        The set; its ledger notes for whose local model the root waits.
    fetch : Callable[[str], PackedModel]
        Has a client train a local model on its own images, and gives it. Called once for each client
        whose images are not all there, and one model is held at a time.
    """
    total = sum(share > 0 for share in auxiliary.shares.values())
    missing = auxiliary.missing()
    for index, client in enumerate(missing):
        done = total - len(missing) + index
        auxiliary.ledger.write(Pretrain(peer=client, done=done, total=total))
        auxiliary.draw_from(client, load_unet(auxiliary.config, fetch(client)))

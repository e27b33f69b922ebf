"""After which root rounds the global model is corrected."""

from collections.abc import Sequence

from fedphd.common.config import CorrectionConfig
from fedphd.server.correction.trend import learning_is_slow


def due(config: CorrectionConfig, losses: Sequence[float | None], corrected_at: int | None) -> bool:
    """Whether the model that was just averaged is to be corrected.

    Parameters
    ----------
    config : CorrectionConfig
        ``none``: never. ``each_round``: always (FedDDPM, abstract). ``once``: if learning is slow and
        it was not corrected before (FedDDPM+, abstract; `learning_is_slow` is ours).
    losses : Sequence[float or None]
        Mean client loss of each root round so far; the last is that of the round being committed.
    corrected_at : int or None
        The root round after which the model was corrected last; None if it never was.
    """
    match config.kind:
        case "none":
            return False
        case "each_round":
            return True
        case "once":
            return corrected_at is None and learning_is_slow(losses, config.window, config.threshold)

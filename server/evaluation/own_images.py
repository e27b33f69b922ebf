"""How good a model is for the clients whose images these are: they measure, and the root writes down what they say."""

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fedphd.common.config import Config
from fedphd.common.data.images import Pixels
from fedphd.common.run.events import Assess, Compare
from fedphd.common.run.ledger import Ledger
from fedphd.common.training.time_bins import time_bins
from fedphd.common.wire.messages import Assessment
from fedphd.server.evaluation.memorisation import Verdict, judge, summary

Assessments = Callable[[int, Pixels | None], Iterator[Assessment]]

DIGITS = 6  # of what the ledger tells

log = logging.getLogger(__name__)


class OwnImages:
    """Asks all clients about their own images.

    Parameters
    ----------
    config : Config
        The run's configuration.
    ledger : Ledger
        Where what each client says is written.
    assessments : Callable[[int, Pixels or None], Iterator[Assessment]]
        Asks every client, to compare so many images: these, or ones that it draws itself.
    """

    def __init__(self, config: Config, ledger: Ledger, assessments: Assessments) -> None:
        self.config = config
        self.ledger = ledger
        self.assessments = assessments

    def measure(self, round: int, images: int = 0, generated: Pixels | None = None) -> dict[str, float]:
        """Let clients measure the model of a round.

        Parameters
        ----------
        round : int
            The root round.
        images : int
            Generated images that each client compares with its own.
        generated : NDArray[uint8], optional
            These, shape (n, C, H, W).

        Returns
        -------
        dict[str, float]
            ``own_loss`` and ``own_loss_training``, means over clients, each counting alike; with ``/<client>`` each
            client's; ``own_loss_at/<times>`` and ``own_loss_training_at/<times>`` by diffusion times. Of generated
            images what `memorisation.summary` says, and ``near_share/<client>`` and ``copied_share/<client>`` of those
            whose verdict is not blind. Nothing if no client held an image out and answered.
        """
        told = list(self.assessments(images, generated))
        without = [one.client for one in told if not one.images]
        if without:
            log.warning("hold out no image, so the model was not measured there: %s", ", ".join(without))
        told = [one for one in told if one.images]
        if not told:
            log.warning("no client measured the model of round %d on its own images; see the ledger", round)
            return {}
        self._tell(round, told)
        return self._losses(told) | (self._copies(round, told, same=generated is not None) if images else {})

    def _tell(self, round: int, told: Sequence[Assessment]) -> None:
        for one in told:
            losses = {"loss": rounded(one.loss), "training_loss": rounded(one.training_loss)}
            self.ledger.write(Assess(round=round, peer=one.client, images=one.images, **losses))

    def _losses(self, told: Sequence[Assessment]) -> dict[str, float]:
        found = {}
        for name in ("loss", "training_loss"):
            by_client = {one.client: getattr(one, name) for one in told}
            key = "own_loss" if name == "loss" else "own_loss_training"
            matrix = np.array(list(by_client.values()))
            found[key] = float(matrix.mean())
            found |= {f"{key}/{client}": float(np.mean(losses)) for client, losses in by_client.items()}
            bins = zip(time_bins(self.config.diffusion.timesteps), matrix.mean(0), strict=True)
            found |= {f"{key}_at/{times.start}-{times.stop - 1}": float(loss) for times, loss in bins}
        return found

    def _copies(self, round: int, told: Sequence[Assessment], *, same: bool) -> dict[str, float]:
        distances = {one.client: one.distances for one in told if one.distances is not None}
        verdicts = {client: found for client, one in distances.items() if (found := judge(one)) is not None}
        flagged = [client for client, verdict in verdicts.items() if verdict.flagged(len(verdicts))]
        if flagged:
            log.warning("generated images are as near as copies to training images of %s", ", ".join(flagged))
        blind = [client for client, verdict in verdicts.items() if verdict.blind]
        if blind:
            where = ", ".join(blind)
            log.warning("held-out images of %s are among its training images, so single copies cannot be told", where)
        for client, verdict in verdicts.items():
            facts = self._facts(verdict) | {"flagged": client in flagged}
            near = {
                "nearest": rounded(distances[client].nearest),
                "held_out_nearest": rounded(distances[client].held_out_nearest),
            }
            self.ledger.write(Compare(round=round, peer=client, **facts, **near))
        seeing = {client: verdict for client, verdict in verdicts.items() if not verdict.blind}
        shares = {f"copied_share/{client}": float(one.copies.mean()) for client, one in seeing.items()}
        shares |= {f"near_share/{client}": float(one.near.mean()) for client, one in seeing.items()}
        return summary(list(seeing.values()), same=same) | shares

    @staticmethod
    def _facts(verdict: Verdict) -> dict[str, int | float]:
        return {
            "near": int(verdict.near.sum()),
            "expected": round(verdict.expected, DIGITS),
            "p_value": verdict.p_value,
            "copies": int(verdict.copies.sum()),
            "authentic": int(verdict.authentic.sum()),
            "authentic_held_out": round(verdict.authentic_held_out, DIGITS),
            "blind": verdict.blind,
        }


def rounded(numbers: Sequence[float]) -> list[float]:
    """Round numbers for the ledger."""
    return [round(number, DIGITS) for number in numbers]

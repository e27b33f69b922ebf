"""What the root does to a new global model, and when (`conf/correction/`); the fine-tuning is in server/correction/."""

from abc import abstractmethod
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from pydantic import PositiveFloat, PositiveInt

from fedphd.common.choices import Choice, Choices
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from fedphd.common.config.schema import Config

Losses = Sequence[float | None]


class CorrectionConfig(Choice):
    """What happens to a new global model."""

    @abstractmethod
    def due(self, losses: Losses, corrected_at: int | None) -> bool:
        """Whether the model that was just averaged is corrected.

        Parameters
        ----------
        losses : Sequence[float or None]
            Mean client loss of each root round so far; the last is that of the round being committed.
        corrected_at : int or None
            The root round after which the model was corrected last; None if it never was.
        """


CORRECTIONS = Choices("correction", CorrectionConfig)  # type: ignore[type-abstract]


@CORRECTIONS.register("none")
class NoCorrection(CorrectionConfig):
    """The global model is what the average gives."""

    def due(self, _losses: Losses, _corrected_at: int | None) -> bool:
        """Say no, always."""
        return False


class FineTuning(CorrectionConfig):
    """Some optimizer steps on images that the clients' local models drew (FedDDPM); when, a subclass says."""

    local_epochs: PositiveInt
    images: PositiveInt
    chunk: PositiveInt
    steps: PositiveInt
    batch_size: PositiveInt
    lr: PositiveFloat

    def check(self, config: "Config") -> None:
        """Check that there is a global model."""
        if config.exchange.keeps_parts:
            advice = f"needs a whole global model, which exchange={config.exchange.kind} does not give"
            raise SettingError("correction", self.kind, f"{advice}; use full or usplit")


@CORRECTIONS.register("each_round")
class EachRound(FineTuning):
    """Every new global model is fine-tuned (FedDDPM, abstract)."""

    def due(self, _losses: Losses, _corrected_at: int | None) -> bool:
        """Say yes, always."""
        return True


@CORRECTIONS.register("once")
class Once(FineTuning):
    """One fine-tuning, when learning is slow (FedDDPM+, abstract; `learning_is_slow` is ours)."""

    window: PositiveInt
    threshold: float

    def due(self, losses: Losses, corrected_at: int | None) -> bool:
        """Say yes when learning is slow, if the model was not corrected before."""
        return corrected_at is None and learning_is_slow(losses, self.window, self.threshold)

    def check(self, config: "Config") -> None:
        """Check that there is a global model, and that the run is long enough to tell."""
        super().check(config)
        if 2 * self.window > config.rounds:
            needs = f"needs {2 * self.window} rounds before it can tell whether learning is slow"
            advice = f"{needs}; rounds={config.rounds}: use at most half of them"
            raise SettingError("correction.window", self.window, advice)


def learning_is_slow(losses: Losses, window: int, threshold: float) -> bool:
    """Whether the loss has hardly fallen: less than a share `threshold`, from one window of rounds to the next.

    FedDDPM+'s own trigger is not known; this one is ours.

    Parameters
    ----------
    losses : Sequence[float or None]
        Mean client loss of each root round, in their order; None for a round in which nobody trained,
        which is passed over.
    window : int
        Rounds on either side of the comparison.
    threshold : float
        Share of the older window's mean by which the newer one's must be lower. Below zero, the loss
        must even rise by that share before learning counts as slow.

    Returns
    -------
    bool
        False while there are fewer than two windows.
    """
    known = [loss for loss in losses if loss is not None]
    if len(known) < 2 * window:
        return False
    before, after = fmean(known[-2 * window : -window]), fmean(known[-window:])
    return before - after < threshold * before

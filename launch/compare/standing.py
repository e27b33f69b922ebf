"""Where a run stood after a root round: what it had spent so far, and what its images scored."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from fedphd.common.run.metrics import Metrics
from fedphd.launch.report.recorded_run import RecordedRun


class Standing(BaseModel):
    """A run after a root round; None: its metrics do not tell.

    Attributes
    ----------
    round : int
        The root round.
    loss : float or None
        Mean loss of the round's clients; None too if nobody trained.
    parameters, macs : int
        Of the U-Net as it was then; multiply-accumulates of one forward pass.
    access_bytes, backbone_bytes : int
        Payload so far of each hop, both ways.
    communicated_parameters : int or None
        Numbers that travelled so far, over all hops and both ways.
    client_epochs : int or None
        Passes of clients over all their own images so far.
    image_passes : int or None
        Images that clients trained on so far, once for each pass.
    forward_macs : int or None
        Multiply-accumulates of one forward pass for each of these, by the network of the time.
    seconds : float
        Wall time so far, without evaluations.
    measures : dict[str, float]
        What its images scored; empty if they were not measured, and without those of single clients.
    images : int or None
        How many images these were; not saved, since it follows from the run's settings (launch/compare/drawn.py).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    round: NonNegativeInt
    loss: float | None = None
    parameters: PositiveInt
    macs: NonNegativeInt | None = None
    access_bytes: NonNegativeInt
    backbone_bytes: NonNegativeInt
    communicated_parameters: NonNegativeInt | None = None
    client_epochs: NonNegativeInt | None = None
    image_passes: NonNegativeInt | None = None
    forward_macs: NonNegativeInt | None = None
    seconds: NonNegativeFloat
    measures: dict[str, float] = {}
    images: NonNegativeInt | None = Field(None, exclude=True)

    @property
    def bytes(self) -> int:
        """Payload so far of all hops."""
        return self.access_bytes + self.backbone_bytes


def standings(run: RecordedRun) -> list[Standing]:
    """Say where a run stood after each committed root round, in their order."""
    lines, epochs = run.metrics, run.setting("training.epochs")
    passes = [_image_passes(line, epochs) for line in lines]
    so_far = zip(
        lines,
        _so_far(line.client_epochs if line.clients else 0 for line in lines),
        _so_far(passes),
        _so_far(_forward_macs(lines, passes)),
        accumulate(line.seconds for line in lines),
        strict=True,
    )
    return [_standing(*one) for one in so_far]


def _standing(
    line: Metrics, client_epochs: int | None, image_passes: int | None, forward_macs: int | None, seconds: float
) -> Standing:
    return Standing(
        round=line.round,
        loss=line.loss,
        parameters=line.parameters,
        macs=line.macs,
        access_bytes=line.total("bytes", ("access",)) or 0,
        backbone_bytes=line.total("bytes", ("backbone",)) or 0,
        communicated_parameters=line.total("parameters"),
        client_epochs=client_epochs,
        image_passes=image_passes,
        forward_macs=forward_macs,
        seconds=round(seconds, 3),
        measures={name: value for name, value in line.measures.items() if "/" not in name},
    )


def _image_passes(line: Metrics, epochs: object) -> int | None:
    """Give a round's own; runs of 0.1.0 did not write them, but what they follow from."""
    if line.image_passes is not None:
        return line.image_passes
    return line.samples * epochs if isinstance(epochs, int) else None


def _forward_macs(lines: Sequence[Metrics], passes: Sequence[int | None]) -> Iterable[int | None]:
    """Give those of each round: it trained the network that the line before tells of, which may be pruned after it."""
    macs = {line.round + 1: line.macs for line in lines}
    for line, count in zip(lines, passes, strict=True):
        each = macs.get(line.round)
        yield 0 if count == 0 else None if count is None or each is None else count * each


def _so_far(counts: Iterable[int | None]) -> Iterable[int | None]:
    """Add up; from the first unknown one on, the sum is unknown."""
    return accumulate(counts, lambda total, one: None if total is None or one is None else total + one)

"""The life of a run: how it starts, is written down, and ends."""

from typing import ClassVar

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from fedphd.common.run.events.event import Event
from fedphd.common.run.measures import Measured


class Start(Event):
    """All edges and clients have registered; training begins, or goes on."""

    name: ClassVar[str] = "start"

    run: str = Field(description="The method's name")
    edges: PositiveInt = Field(description="Edges; 1 with a flat topology, whose one edge is the root itself")
    rounds: PositiveInt = Field(description="Root rounds in all")
    edge_rounds: PositiveInt = Field(description="Edge rounds in each root round")
    clients: PositiveInt = Field(description="Clients")
    init: str | None = Field(
        None, description="Hash of the weights that it was started with (`model.init`); null: they were drawn"
    )


class Resume(Event):
    """The run goes on from a checkpoint; what the ledger has of later rounds is taken back."""

    name: ClassVar[str] = "resume"

    round: NonNegativeInt = Field(description="Root round of the checkpoint")


class Reuse(Event):
    """Statistics of the real images that are measured against were found in `evaluation.cache`."""

    name: ClassVar[str] = "reuse"

    split: str = Field(description="Which images: `train` or `holdout`")
    images: PositiveInt = Field(description="How many they are")
    file: str = Field(description="Where they were found")


class Evaluate(Event, Measured):
    """The model of a round was drawn from, and its images were measured; the measures are those of `metrics.jsonl`."""

    name: ClassVar[str] = "evaluate"

    round: NonNegativeInt = Field(description="Root round whose model it is; 0: before the first")
    evaluation_seconds: NonNegativeFloat | None = Field(None, description="Wall time that this took")


class Checkpoint(Event):
    """A checkpoint was written, whole."""

    name: ClassVar[str] = "checkpoint"

    round: NonNegativeInt = Field(description="Root round whose state it holds")


class Finish(Event):
    """The last round is done."""

    name: ClassVar[str] = "finish"

    seconds: NonNegativeFloat = Field(description="Wall time since the run was started or resumed")
    model: str = Field(description="Hash of the final global model")


class Fail(Event):
    """The run ended before its last round."""

    name: ClassVar[str] = "fail"

    reason: str = Field(description="Why")

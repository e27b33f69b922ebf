"""A line of `metrics.jsonl`: where the run is after a root round."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationError

from fedphd.common.run.figures import HOPS, WAYS
from fedphd.common.run.measures import Measured

MESSAGES = "Messages with models so far"
PARAMETERS = "Numbers in these messages' models so far"
BYTES = "Bytes of these numbers as coded, so far"
DOWN_ACCESS, UP_ACCESS = "from edges to clients", "from clients to edges"
DOWN_BACKBONE, UP_BACKBONE = "from root to edges", "from edges to root"


class Metrics(Measured):
    """Where the run is after a root round, with the measures of its images if it was evaluated.

    Round 0 is the state before the first round. Counts are of committed rounds, without images that are only measured.
    """

    model_config = ConfigDict(frozen=True)

    round: NonNegativeInt = Field(description="Root round")
    edge_rounds: NonNegativeInt = Field(description="Edge rounds so far")
    phase: Literal["dense", "sparse", "pruned"] = Field(
        description="What kind of model the round trained: `dense`, `sparse` (to be pruned) or `pruned`"
    )
    loss: float | None = Field(description="Mean loss of the clients, weighted by images; null: nobody trained")
    clients: NonNegativeInt = Field(description="Clients that trained in the round")
    samples: NonNegativeInt = Field(description="Images that they trained on, once for each edge round")
    client_epochs: NonNegativeInt | None = Field(
        None, description="Passes over all their own images that they made in the round, added up: E in each edge round"
    )
    image_passes: NonNegativeInt | None = Field(
        None, description="Images that they trained on in the round, once for each pass"
    )
    parameters: PositiveInt = Field(description="Parameters of the U-Net as it is now")
    macs: NonNegativeInt | None = Field(None, description="Multiply-accumulates of the U-Net as it is now, per image")
    structure: str = Field(description="Id of the structure as it is now")
    access_down_messages: NonNegativeInt | None = Field(None, description=f"{MESSAGES}, {DOWN_ACCESS}")
    access_down_parameters: NonNegativeInt | None = Field(None, description=f"{PARAMETERS}, {DOWN_ACCESS}")
    access_down_bytes: NonNegativeInt = Field(description=f"{BYTES}, {DOWN_ACCESS}")
    access_up_messages: NonNegativeInt | None = Field(None, description=f"{MESSAGES}, {UP_ACCESS}")
    access_up_parameters: NonNegativeInt | None = Field(None, description=f"{PARAMETERS}, {UP_ACCESS}")
    access_up_bytes: NonNegativeInt = Field(description=f"{BYTES}, {UP_ACCESS}")
    backbone_down_messages: NonNegativeInt | None = Field(None, description=f"{MESSAGES}, {DOWN_BACKBONE}")
    backbone_down_parameters: NonNegativeInt | None = Field(None, description=f"{PARAMETERS}, {DOWN_BACKBONE}")
    backbone_down_bytes: NonNegativeInt = Field(description=f"{BYTES}, {DOWN_BACKBONE}")
    backbone_up_messages: NonNegativeInt | None = Field(None, description=f"{MESSAGES}, {UP_BACKBONE}")
    backbone_up_parameters: NonNegativeInt | None = Field(None, description=f"{PARAMETERS}, {UP_BACKBONE}")
    backbone_up_bytes: NonNegativeInt = Field(description=f"{BYTES}, {UP_BACKBONE}")
    seconds: NonNegativeFloat = Field(description="Wall time of the round, without its evaluation")
    elapsed: NonNegativeFloat = Field(description="Wall time so far over all starts, without this round's evaluation")
    evaluation_seconds: NonNegativeFloat | None = Field(None, description="Wall time of the round's evaluation")

    @property
    def line(self) -> dict[str, Any]:
        """What is written: what was given when it was made."""
        return self.model_dump(exclude_unset=True)

    @property
    def payload(self) -> int:
        """Bytes so far, of all hops and both ways."""
        return self.total("bytes") or 0

    def crossed(self, hop: str, way: str, what: str) -> int | None:
        """Give ``messages``, ``parameters`` or ``bytes`` so far over a hop in one direction; None in an old run."""
        count: int | None = getattr(self, f"{hop}_{way}_{what}")
        return count

    def total(self, what: str, hops: Sequence[str] = HOPS) -> int | None:
        """Add up ``messages``, ``parameters`` or ``bytes`` so far over hops and both ways; None in an old run."""
        counts = [self.crossed(hop, way, what) for hop in hops for way in WAYS]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None


def read_metrics(line: Mapping[str, Any]) -> Metrics | None:
    """Read a line of `metrics.jsonl`; None if it lacks what such a line must have."""
    try:
        return Metrics.model_validate(Metrics.readable(line))
    except ValidationError:
        return None

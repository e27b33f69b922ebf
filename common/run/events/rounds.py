"""Rounds: planned, averaged, committed; and the pruning between two of them."""

from typing import ClassVar

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from fedphd.common.run.events.event import Event


class Plan(Event):
    """The root has planned a root round."""

    name: ClassVar[str] = "plan"

    round: PositiveInt = Field(description="Root round")
    assignment: list[dict[str, list[str]]] = Field(
        description="For each of its edge rounds, the clients that are to train at each edge"
    )


class Aggregate(Event):
    """An edge has averaged its clients' updates."""

    name: ClassVar[str] = "aggregate"

    round: PositiveInt = Field(description="Root round")
    edge_round: NonNegativeInt = Field(description="Edge round, counted from 0 over the whole run")
    clients: list[str] = Field(description="Clients whose updates count")
    samples: PositiveInt = Field(description="Images that they trained on")
    loss: float = Field(description="Their mean loss, weighted by images")
    seconds: NonNegativeFloat = Field(description="Wall time of the edge round")


class Restart(Event):
    """An edge that was started again goes on within a root round."""

    name: ClassVar[str] = "restart"

    round: PositiveInt = Field(description="Root round")
    edge_round: NonNegativeInt = Field(description="Edge round that it goes on with")


class Commit(Event):
    """The root has averaged the edges' models into a new global one: a root round is done."""

    name: ClassVar[str] = "commit"

    round: PositiveInt = Field(description="Root round")
    edges: list[str] = Field(description="Edges whose updates count")
    loss: float | None = Field(description="Mean loss of the clients, weighted by images; null: nobody trained")
    structure: str = Field(description="Id of the new model's structure, before a pruning")
    weights: dict[str, float] = Field(description="W_e: each edge's share of the average")
    homogeneity: dict[str, float] = Field(
        description="SH(q_e): homogeneity of the labels that each edge's clients trained on; 2: uniform"
    )


class Prune(Event):
    """The global model was pruned after a root round."""

    name: ClassVar[str] = "prune"

    round: NonNegativeInt = Field(description="Root round; 0: before the first")
    ratio: float = Field(description="Share of the channels that is removed")
    parameters_before: PositiveInt = Field(description="Parameters of the U-Net before")
    parameters_after: PositiveInt = Field(description="... and after")
    macs_before: NonNegativeInt = Field(description="Multiply-accumulates per image before")
    macs_after: NonNegativeInt = Field(description="... and after")
    structure_before: str = Field(description="Id of the structure before")
    structure_after: str = Field(description="... and after")

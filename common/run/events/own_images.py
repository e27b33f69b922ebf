"""What clients say of a model by their own images, in numbers."""

from typing import ClassVar

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from fedphd.common.run.events.event import Event


class Assess(Event):
    """A client has measured the model of a round on images of its own."""

    name: ClassVar[str] = "assess"

    round: PositiveInt = Field(description="Root round whose model it is")
    peer: str = Field(description="The client")
    images: PositiveInt = Field(description="Images that it held out and measured")
    loss: list[float] = Field(description="Mean loss on them, by ten equal bins of diffusion times")
    training_loss: list[float] = Field(description="The same on as many images that it trains on")


class Compare(Event):
    """A client has compared generated images with those that it trains on."""

    name: ClassVar[str] = "compare"

    round: PositiveInt = Field(description="Root round whose model drew")
    peer: str = Field(description="The client")
    near: NonNegativeInt = Field(
        description="Generated images that are nearer to a training image, by distance and by ratio to the 50 nearest, "
        "than 95 % of the held-out images are"
    )
    expected: NonNegativeFloat = Field(
        description="Share of them that would be, at most, if the model memorised nothing"
    )
    p_value: NonNegativeFloat = Field(description="Chance of so many or more in that case")
    copies: NonNegativeInt = Field(description="Generated images at no more than half of that distance and ratio")
    authentic: NonNegativeInt = Field(
        description="Generated images that are not nearer to a training image than all other training images are to it"
    )
    authentic_held_out: NonNegativeFloat = Field(description="Share of the held-out images of which that is true")
    flagged: bool = Field(description="Whether this shows that the model repeats images of this client")
    blind: bool = Field(
        default=False,
        description="Whether so many held-out images are the same as training images that single copies cannot be told",
    )
    nearest: list[float] = Field(description="Distance of each generated image to the nearest training image")
    held_out_nearest: list[float] = Field(description="... and of each held-out image")

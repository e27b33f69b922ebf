"""How a client trains, and the diffusion process that it learns (`training` and `diffusion` in `conf/config.yaml`)."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from fedphd.common.choices import Section


class TrainingConfig(Section):
    """How a client trains in one edge round."""

    epochs: PositiveInt
    batch_size: PositiveInt
    optimizer: Literal["adam", "sgd"]
    lr: PositiveFloat
    warmup_steps: NonNegativeInt
    schedule: Literal["constant", "linear"]
    clip_norm: PositiveFloat | None
    flip: bool
    keep_optimizer: bool
    precision: Literal["auto", "float32", "bfloat16"]
    compile: bool


class DiffusionConfig(Section):
    """The forward process and the sampler."""

    timesteps: PositiveInt
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"]
    beta_start: PositiveFloat
    beta_end: PositiveFloat
    sampler_steps: PositiveInt
    eta: Annotated[float, Field(ge=0, le=1)]

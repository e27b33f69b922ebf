"""How a client trains, and the diffusion process that it learns (`training` and `diffusion` in `conf/config.yaml`)."""

from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from fedphd.common.choices import Section
from fedphd.common.config.types import Ratio


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
    label_dropout: Ratio = 0.1
    keep_optimizer: bool
    precision: Literal["auto", "float32", "bfloat16"]
    compile: bool


class DiffusionConfig(Section):
    """The process that a network learns to reverse, and how it learns it.

    Attributes
    ----------
    prediction : {"epsilon", "v"}
        What the network predicts: the noise, or v = sqrt(alpha-bar) epsilon - sqrt(1 - alpha-bar) x_0 (Salimans and Ho
        2022, section 4).
    min_snr : float or None
        gamma of the min-SNR weights (Hang et al. 2023); None: all times count the same.
    """

    timesteps: PositiveInt
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"]
    beta_start: PositiveFloat
    beta_end: PositiveFloat
    prediction: Literal["epsilon", "v"]
    min_snr: PositiveFloat | None

    @property
    def schedule(self) -> dict[str, Any]:
        """The process in the words of diffusers' schedulers."""
        return {
            "num_train_timesteps": self.timesteps,
            "beta_schedule": self.beta_schedule,
            "beta_start": self.beta_start,
            "beta_end": self.beta_end,
            "prediction_type": "v_prediction" if self.prediction == "v" else "epsilon",
        }

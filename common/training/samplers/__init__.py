"""How images are drawn from noise: one class for each choice of `conf/sampler/`, over diffusers' schedulers.

A new sampler is imported here, so that it is registered; the configuration holds them, so this package imports torch
and diffusers within the methods that need them.
"""

from fedphd.common.training.samplers.base import SAMPLERS, SamplerConfig, Spaced
from fedphd.common.training.samplers.ddim import DDIM
from fedphd.common.training.samplers.ddpm import DDPM
from fedphd.common.training.samplers.dpm_solver import DPMSolver
from fedphd.common.training.samplers.named import NamedScheduler

__all__ = ["DDIM", "DDPM", "SAMPLERS", "DPMSolver", "NamedScheduler", "SamplerConfig", "Spaced"]

"""The forward process: noise is added as in DDPM, and a network learns to predict it."""

from diffusers import DDPMScheduler
from torch import Tensor

from fedphd.common.config import DiffusionConfig
from fedphd.common.errors import SettingError


class Diffusion:
    """A noise schedule, its forward process, and what a network learns of it.

    The betas are those of Ho et al. 2020 (DDPM, section 4), the squared cosine of Nichol and
    Dhariwal 2021 (section 3.2), or evenly spaced in their square root (Rombach et al. 2022, LDM, in the
    authors' code; diffusers' `scaled_linear`).

    Parameters
    ----------
    config : DiffusionConfig
        The `diffusion` options.

    Attributes
    ----------
    timesteps : int
        T; the times are 0 to T - 1.

    Raises
    ------
    SettingError
        If the betas do not increase within (0, 1).
    """

    def __init__(self, config: DiffusionConfig) -> None:
        _check(config)
        self.timesteps = config.timesteps
        self._predicts = config.prediction
        self._min_snr = config.min_snr
        self._scheduler = DDPMScheduler(**config.schedule)

    def add_noise(self, x_0: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
        """Draw x_t from q(x_t | x_0) with the given noise (Ho et al. 2020, eq. 4).

        Parameters
        ----------
        x_0, epsilon : Tensor
            Images in [-1, 1] or latents, and standard normal noise, both of shape (B, C, H, W).
        t : Tensor
            Times from 0 to T - 1, shape (B,).

        Returns
        -------
        Tensor
            sqrt(alpha-bar_t) x_0 + sqrt(1 - alpha-bar_t) epsilon, shape (B, C, H, W).
        """
        noisy: Tensor = self._scheduler.add_noise(x_0, epsilon, t)
        return noisy

    def target(self, x_0: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
        """Give what the network learns to predict; parameters as in `add_noise`.

        Returns
        -------
        Tensor
            epsilon, or with `diffusion.prediction=v` sqrt(alpha-bar_t) epsilon - sqrt(1 - alpha-bar_t) x_0 (Salimans
            and Ho 2022, section 4), shape (B, C, H, W).
        """
        if self._predicts == "epsilon":
            return epsilon
        velocity: Tensor = self._scheduler.get_velocity(x_0, epsilon, t)
        return velocity

    def weights(self, t: Tensor) -> Tensor | None:
        """Weigh the loss at some times by min-SNR (Hang et al. 2023, section 3.4).

        With SNR = alpha-bar_t / (1 - alpha-bar_t), the weight min(SNR, gamma) of the squared error of x_0 is
        min(SNR, gamma) / SNR for epsilon and min(SNR, gamma) / (SNR + 1) for v.

        Parameters
        ----------
        t : Tensor
            Times from 0 to T - 1, shape (B,).

        Returns
        -------
        Tensor or None
            Shape (B,), on the device of `t`; None if all times count the same.
        """
        if self._min_snr is None:
            return None
        alpha_bar = self._scheduler.alphas_cumprod.to(t.device)[t]
        snr = alpha_bar / (1 - alpha_bar)
        weights: Tensor = snr.clamp(max=self._min_snr) / (snr if self._predicts == "epsilon" else snr + 1)
        return weights


def _check(config: DiffusionConfig) -> None:
    given = config.beta_schedule in ("linear", "scaled_linear")  # the cosine has no ends to choose
    if given and not config.beta_start <= config.beta_end < 1:
        advice = f"must be below 1 and at least diffusion.beta_start={config.beta_start}"
        raise SettingError("diffusion.beta_end", config.beta_end, advice)

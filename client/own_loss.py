"""The loss of a model on some of a client's images, by diffusion time, from the same noise every time."""

import numpy as np
import torch
from torch import Tensor, nn

from fedphd.common.config import Config
from fedphd.common.data.training_set import Batch, TrainingSet
from fedphd.common.training.compute import autocast, to_device
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import find_distance
from fedphd.common.training.noise_prediction import Noised, loss_of, predict
from fedphd.common.training.seeding import numpy_rng
from fedphd.common.training.time_bins import time_bins


class OwnLoss:
    """Measures models on a client's images.

    The loss is that which training minimises, without terms of the objective and without min-SNR weights: all times
    count the same, so that the mean over the bins is an estimate of DDPM's simple loss (Ho et al. 2020, eq. 14). Times
    and noise come from the run's seed and the client alone. So rounds compare, and held-out images get the times and
    noise that training images get, which takes what these add by chance out of the difference (ours).

    Parameters
    ----------
    config : Config
        The run's configuration.
    client : int
        The client's index.
    device : torch.device
        Where to compute.
    """

    def __init__(self, config: Config, client: int, device: torch.device) -> None:
        self.config = config
        self.client = client
        self.device = device
        self.diffusion = Diffusion(config.diffusion)
        self.distance = find_distance(config.objective.loss)

    def by_time(self, unet: nn.Module, images: TrainingSet) -> list[float]:
        """Give the mean loss in each bin of times; none without images.

        Parameters
        ----------
        unet : nn.Module
            Moved to the device, and left in evaluation mode.
        images : TrainingSet
            Every one of them is noised once in each bin. A model that is told classes is told them.
        """
        if not len(images):
            return []
        unet = to_device(unet, self.device).eval()
        images = images.to(self.device)
        rng = numpy_rng(self.config.seed, "evaluation", "own", self.client)
        with torch.no_grad():
            return [self._mean(unet, images, times, rng) for times in time_bins(self.diffusion.timesteps)]

    def _mean(self, unet: nn.Module, images: TrainingSet, times: range, rng: np.random.Generator) -> float:
        total, t = 0.0, torch.from_numpy(rng.integers(times.start, times.stop, len(images))).to(self.device)
        for indices in torch.arange(len(images), device=self.device).split(self.config.evaluation.batch_size):
            batch = images.labelled(indices, flip=False, dropout=0.0)
            noised = self._noised(batch, t[indices], rng)
            with autocast(self.device, self.config.training.precision):
                total += loss_of(predict(unet, noised), noised, self.distance).item() * len(indices)
        return total / len(images)

    def _noised(self, batch: Batch, t: Tensor, rng: np.random.Generator) -> Noised:
        x_0 = batch.x_0
        epsilon = torch.from_numpy(rng.standard_normal(tuple(x_0.shape), np.float32)).to(self.device)
        noisy, target = self.diffusion.add_noise(x_0, epsilon, t), self.diffusion.target(x_0, epsilon, t)
        return Noised(noisy, t, target, None, batch.labels)

"""FedDDPM's correction of a new global model: a few optimizer steps on the auxiliary set."""

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor, nn

from fedphd.common.config import Config, FineTuning
from fedphd.common.data.training_set import Batch, TrainingSet
from fedphd.common.errors import SettingError
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.run.events import Correct
from fedphd.common.run.ledger import Ledger
from fedphd.common.training.compute import pick_device, to_device
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import find_distance
from fedphd.common.training.fit import Descent, fit
from fedphd.common.training.noise_prediction import simple_loss
from fedphd.common.training.seeding import derive_seed
from fedphd.common.training.session import Session
from fedphd.server.pruning_schedule import load_unet


class Correction:
    """Fine-tunes global models on the auxiliary set (FedDDPM, abstract; the numbers are ours).

    Parameters
    ----------
    config : Config
        `correction` says how long and how fast, `objective.loss` which distance, `training` the
        clipping and the precision.
    auxiliary : Callable[[], TrainingSet]
        Gives the auxiliary set; called once, at the first correction.
    ledger : Ledger
        Where a correction is written.
    """

    def __init__(self, config: Config, auxiliary: Callable[[], TrainingSet], ledger: Ledger) -> None:
        self.config = config
        self.options = FineTuning.narrow(config.correction, "correction")
        self.device = pick_device(config)
        self._distance = find_distance(config.objective.loss)
        self._diffusion = Diffusion(config.diffusion)
        self.ledger = ledger
        self._auxiliary = auxiliary

    def apply(self, model: PackedModel, root_round: int) -> PackedModel:
        """Fine-tune a model, dense or pruned; it keeps its structure.

        What is drawn follows from the seed and the round, so a round that is repeated is corrected alike.
        Adam starts anew each time: its moments would be those of another model.

        Parameters
        ----------
        model : PackedModel
            The average of the round's models; left as it is.
        root_round : int
            The round that is being committed.

        Raises
        ------
        SettingError
            If the model diverges.
        """
        unet = to_device(load_unet(self.config, model), self.device)
        try:
            result = fit(unet, self._some_batches(), self._loss, self._descent(unet), self._session(root_round))
        except FloatingPointError as error:
            advice = f"the model of round {root_round} diverges when it is fine-tuned ({error}); use a smaller one"
            raise SettingError("correction.lr", self.options.lr, advice) from error
        seconds = round(result.seconds, 3)
        self.ledger.write(Correct(round=root_round, steps=result.steps, loss=result.loss, seconds=seconds))
        return pack(unet.state_dict())

    def _loss(self, unet: nn.Module, batch: Batch) -> Tensor:
        return simple_loss(unet, batch.x_0, self._diffusion, self._distance, batch.labels)

    def _session(self, root_round: int) -> Session:
        seed = derive_seed(self.config.seed, "correction", root_round)
        return Session(self.config.training.model_copy(update={"compile": False}), self.device, seed)

    def _descent(self, unet: nn.Module) -> Descent:
        lr = self.options.lr
        return Descent(torch.optim.Adam(unet.parameters(), lr=lr, fused=True), lambda _step: lr)

    def _some_batches(self) -> Iterator[Batch]:
        return islice(self._batches(), self.options.steps)

    @cached_property
    def _images(self) -> TrainingSet:
        return self._auxiliary().to(self.device)

    def _batches(self) -> Iterator[Batch]:
        """Yield batches without end: pass after pass, each in a new order, the last batch kept.

        Nothing is mirrored: the local models draw mirrored images themselves, where they were trained on such.
        """
        images = self._images
        while True:
            order = torch.randperm(len(images), device=self.device)
            for indices in order.split(self.options.batch_size):
                yield images.labelled(indices, flip=False, dropout=self.config.training.label_dropout)

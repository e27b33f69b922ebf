"""What a run has for measuring with."""

from dataclasses import dataclass
from pathlib import Path

import torch

from fedphd.common.config import Config


@dataclass(frozen=True)
class Workbench:
    """What a run has for its extractor.

    Attributes
    ----------
    config : Config
        The run's configuration; `data` is what the root evaluates with.
    device : torch.device
        Where networks run.
    folder : Path
        Takes files that later evaluations of the run use; another one for other options or images. It may not be
        there yet.
    """

    config: Config
    device: torch.device
    folder: Path

    @property
    def batch_size(self) -> int:
        """Images that a network gets at once."""
        return self.config.evaluation.batch_size

"""What a client tells about its labels: the histogram, perhaps with noise that hides single images."""

import json
from pathlib import Path

import numpy as np
from filelock import FileLock

from fedphd.client.local_data import local_data
from fedphd.common.config import Config


def reported_counts(config: Config, index: int, folder: Path) -> list[float]:
    """Tell the label counts, with Laplace noise where `privacy.histogram_epsilon` asks for it.

    One image more or less changes one count by one, so noise of scale 1/epsilon makes the histogram
    epsilon-differentially private (Dwork et al. 2006); negative results are cut to zero. The noise is
    the one random choice that does not follow from the run's seed, which the root knows. It is drawn
    once and kept on the client's disk: told anew with other noise each time, counts could be averaged.

    Parameters
    ----------
    config : Config
        The run's configuration.
    index : int
        The client's part of the partition.
    folder : Path
        The client's own folder.

    Returns
    -------
    list[float]
        One count for each class.
    """
    counts = local_data(config, index).counts.astype(float)
    epsilon = config.privacy.histogram_epsilon
    if epsilon is None:
        return [float(count) for count in counts]
    file = folder / "histogram.json"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".histogram.lock"):  # two homes of a client may ask at the same time
        if not file.exists():
            noisy = counts + np.random.default_rng().laplace(scale=1 / epsilon, size=len(counts))
            file.write_text(json.dumps(np.maximum(noisy, 0.0).tolist()), encoding="utf-8")
        return [float(count) for count in json.loads(file.read_text(encoding="utf-8"))]

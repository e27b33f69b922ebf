"""FedDDPM's auxiliary set: images that the clients' local models draw, stored chunk by chunk at the root.

Each chunk is a file of its own, which appears whole or not at all, so a run that is interrupted goes on
with the first chunk that is missing. A chunk's noise follows from the seed, the client and the images'
places alone: whatever the interruptions, the set is the same.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fedphd.common.config import Config, FineTuning, decides, leaves
from fedphd.common.data.proportion import in_proportion
from fedphd.common.data.training_set import TrainingSet
from fedphd.common.errors import FedPhDError
from fedphd.common.keeping.private_files import write_private
from fedphd.common.network import UNet
from fedphd.common.run.events import Draw
from fedphd.common.run.ledger import Ledger
from fedphd.common.training.compute import pick_device
from fedphd.common.training.reverse import ReverseProcess
from fedphd.common.training.sampling import Sampler
from fedphd.server.correction.apportionment import apportion

Images = NDArray[np.uint8] | NDArray[np.float32]

TENSOR = "images"


@dataclass(frozen=True)
class Chunk:
    """Images that are drawn and stored together: `count` of a client's, from its image `first` on."""

    client: str
    first: int
    count: int


class AuxiliarySet:
    """Images of all clients' local models, in proportion to the clients' sample counts.

    They are pixels; with latent diffusion, the latents that the U-Net draws, since it is on latents that
    it is trained.

    Parameters
    ----------
    folder : Path
        Takes the chunks; one process may write there at a time.
    config : Config
        `correction` is a fine-tuning, and says how many images, and how many are a chunk.
    samples : Mapping[str, int]
        n_k of each client, in the order that the images will have.
    counts : Mapping[str, Sequence[float]]
        Each client's images of each class: a model that is told classes draws them in these proportions.
    ledger : Ledger
        Where each chunk is noted when it is stored.

    Attributes
    ----------
    shares : dict[str, int]
        Images of each client.

    Raises
    ------
    FedPhDError
        If no client has an image.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        samples: Mapping[str, int],
        counts: Mapping[str, Sequence[float]],
        ledger: Ledger,
    ) -> None:
        self.folder = folder
        self.config = config
        self.counts = counts
        self.ledger = ledger
        self._options = FineTuning.narrow(config.correction, "correction")
        self.shares = apportion(self._options.images, samples)
        device = pick_device(config)
        self._sampler = Sampler(ReverseProcess.of(config), config.seed, self._options.chunk, device)
        self._run = _run_id(config)
        for draft in folder.glob(".*.draft"):  # of a process that was killed
            draft.unlink()
        self._missing = [chunk for chunk in self._chunks() if self._read(chunk) is None]

    def missing(self) -> list[str]:
        """Name the clients whose images are not all there, in their order."""
        return list(dict.fromkeys(chunk.client for chunk in self._missing))

    def draw_from(self, client: str, unet: UNet) -> None:
        """Draw and store what is missing of a client's images.

        Parameters
        ----------
        client : str
            One of the clients.
        unet : UNet
            Its local model; moved to the root's device.

        Raises
        ------
        FedPhDError
            If it draws latents that are not finite.
        """
        for chunk in [chunk for chunk in self._missing if chunk.client == client]:
            self._store(chunk, self._draw(chunk, unet))
            self._missing.remove(chunk)
            self._log(client)

    def images(self) -> Images:
        """Read all images, client by client, whatever order they were drawn in.

        Returns
        -------
        NDArray[uint8] or NDArray[float32]
            Shape (n, C, H, W): pixels, or latents.

        Raises
        ------
        FedPhDError
            If a chunk is missing or damaged.
        """
        return np.concatenate([self._whole(chunk) for chunk in self._chunks()])

    def training_set(self) -> TrainingSet:
        """Read all images to train on them."""
        images = torch.from_numpy(self.images())
        if self.config.model.classes is None:
            return TrainingSet(images)
        labels = [in_proportion(self.counts[client], share) for client, share in self.shares.items() if share]
        return TrainingSet(images, labels=torch.from_numpy(np.concatenate(labels)))

    def _chunks(self) -> Iterator[Chunk]:
        """Yield all chunks in the order of their images; a client's last one may be smaller."""
        size = self._options.chunk
        for client, share in self.shares.items():
            for first in range(0, share, size):
                yield Chunk(client, first, min(size, share - first))

    def _draw(self, chunk: Chunk, unet: UNet) -> Images:
        """Draw a chunk at once, so that each image comes out the same to the last bit, whenever it is drawn."""
        sampler = replace(self._sampler, batch_size=chunk.count)
        draw: Callable[..., Images] = sampler.draw if self.config.model.autoencoder is None else sampler.draw_latents
        labels = None
        if self.config.model.classes is not None:
            labels = in_proportion(self.counts[chunk.client], chunk.count, chunk.first)
        images = draw(unet, chunk.count, first=chunk.first, stream=("auxiliary", chunk.client), labels=labels)
        if not np.isfinite(images).all():
            raise FedPhDError(f"the local model of {chunk.client} draws latents that are not finite numbers")
        return images

    def _file(self, chunk: Chunk) -> Path:
        return self.folder / f"{chunk.client}_{chunk.first:06d}.safetensors"

    def _facts(self, chunk: Chunk, images: Images) -> dict[str, str]:
        """Say what a file must say of itself: whose images it has, of which run, and that they are as written.

        In one entry: safetensors writes several in any order, and the same chunk shall be the same file.
        """
        contents = hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()
        return {"chunk": json.dumps({"run": self._run, **asdict(chunk), "sha256": contents})}

    def _store(self, chunk: Chunk, images: Images) -> None:
        write_private(self._file(chunk), save({TENSOR: images}, self._facts(chunk, images)))

    def _read(self, chunk: Chunk) -> Images | None:
        """Read a chunk; None if it is not there, or is torn, or is another's."""
        try:
            with safe_open(self._file(chunk), "np") as file:
                facts, images = file.metadata(), file.get_tensor(TENSOR)
        except (OSError, SafetensorError):
            return None
        return images if facts == self._facts(chunk, images) else None

    def _whole(self, chunk: Chunk) -> Images:
        images = self._read(chunk)
        if images is None:
            raise FedPhDError(
                f"auxiliary images are missing or damaged: {self._file(chunk)}; resume the run, to draw them anew"
            )
        return images

    def _log(self, client: str) -> None:
        total = self._options.images
        done = total - sum(chunk.count for chunk in self._missing)
        left = sum(chunk.count for chunk in self._missing if chunk.client == client)
        self.ledger.write(Draw(peer=client, done=done, total=total, left=left))


def _run_id(config: Config) -> str:
    """Hash what local models and their images depend on: a folder may hold those of other settings."""
    settings = leaves(config.model_dump(mode="json"))
    text = json.dumps({key: value for key, value in settings if decides(key, config)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

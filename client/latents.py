"""What a client trains on: its images, or their latents, which it makes once and keeps on its disk."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fedphd.client.local_data import local_data
from fedphd.client.place import Place
from fedphd.common.data.images import Indices, Pixels
from fedphd.common.data.training_set import TrainingSet
from fedphd.common.errors import SettingError
from fedphd.common.keeping.private_files import write_private
from fedphd.common.network.autoencoder import Autoencoder, autoencoder_of

LATENTS, MIRRORED = "latents", "mirrored"


def training_set(place: Place, device: torch.device) -> TrainingSet:
    """Give the images that a client trains on; as `as_trained`."""
    data = local_data(place.config, place.index)
    return as_trained(data.images, data.labels, place, device, flip=place.config.training.flip)


def as_trained(
    pixels: Pixels, labels: Indices, place: Place, device: torch.device, *, flip: bool = False
) -> TrainingSet:
    """Give some of a client's images as its U-Net trains on them.

    Latents are read from the client's disk. Where they are missing or damaged, or were made of other
    images or by another autoencoder, they are made anew; two processes that do so at once write the same.

    Parameters
    ----------
    pixels : NDArray[uint8]
        The images, shape (n, C, H, W).
    labels : NDArray[int64]
        Class number of each, shape (n,).
    place : Place
        Where the client is.
    device : torch.device
        Where images are encoded.
    flip : bool
        Whether latents of the mirrored images are needed too.

    Returns
    -------
    TrainingSet
        On the CPU: pixels, or where the model has an autoencoder their latents, with those of the
        mirrored images if asked for. With their labels, if the model has `classes`.

    Raises
    ------
    SettingError
        If images or autoencoder cannot be read, or do not fit the model.
    """
    images, told = torch.from_numpy(pixels), _told(place, labels)
    autoencoder = autoencoder_of(place.config.model, device)
    if autoencoder is None:
        return TrainingSet(images, labels=told)
    file = place.latents / f"{_name(images, autoencoder, flip)}.safetensors"
    tensors = _read(file)
    if tensors is None:
        tensors = {LATENTS: autoencoder.encode(images)}
        if flip:
            tensors[MIRRORED] = autoencoder.encode(images.flip(-1))
        write_private(file, save(tensors, {"sha256": _digest(tensors)}))
    return TrainingSet(tensors[LATENTS], tensors.get(MIRRORED), labels=told)


def check_numbering(place: Place) -> None:
    """Check that a client numbers its classes as a U-Net that is told them does.

    Raises
    ------
    SettingError
        If it has more or fewer classes than the model.
    """
    model = place.config.model
    if model.classes is None:
        return
    told, found = model.number_of_classes, len(local_data(place.config, place.index).classes)
    if told != found:
        advice = f"the model was made for {told} classes, {place.name} has {found}; all need the same"
        raise SettingError("model.classes", model.classes, advice)


def _told(place: Place, labels: Indices) -> Tensor | None:
    """Give the images' classes, if the U-Net is told them."""
    check_numbering(place)
    return None if place.config.model.classes is None else torch.from_numpy(labels.copy())


def _name(images: Tensor, autoencoder: Autoencoder, flip: bool) -> str:
    """Hash all that latents depend on, to the last bit."""
    facts = [autoencoder.identity, autoencoder.scaling, autoencoder.config.batch_size, autoencoder.device.type, flip]
    digest = hashlib.sha256(json.dumps([*facts, list(images.shape)]).encode())
    digest.update(images.numpy().data)
    return digest.hexdigest()


def _read(file: Path) -> dict[str, Tensor] | None:
    """Read latents; None if they are not there, or not as they were written."""
    try:
        with safe_open(file, "pt") as opened:
            said, tensors = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    return tensors if said == {"sha256": _digest(tensors)} else None


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().data)
    return digest.hexdigest()

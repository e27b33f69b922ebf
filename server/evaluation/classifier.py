"""A small image classifier, trained by the root on the run's own real images.

Its penultimate activations are the features of `fd_classifier`, which shows quality where no
Inception weights are at hand. Network, schedule and augmentation are our choice; what counts is that
two runs with the same seed and data measure with the same numbers.

Where there are no classes to tell apart, it learns how far an image is turned (Gidaris et al. 2018, *Unsupervised
Representation Learning by Predicting Image Rotations*); else its features would be those of an untrained network.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedphd.common.data.images import ImageSet
from fedphd.common.training.compute import threads
from fedphd.common.training.seeding import derive_seed, numpy_rng

MAX_IMAGES = 5_000  # it is trained on the CPU, and needs to be neither large nor perfect
BATCH = 50
PEAK_LR = 5e-3
TURNS = 4  # by 0, 90, 180 and 270 degrees


class Classifier(nn.Module):
    """Three convolutions, global average pooling, one linear layer.

    The first convolution brings images of any size to about 16x16, so that the cost does not grow
    with the resolution.

    Parameters
    ----------
    shape : tuple[int, int, int]
        (C, H, W) of the images.
    classes : int
        K.
    features : int
        d, the width of the penultimate layer.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, features: int = 64) -> None:
        super().__init__()
        stride = max(1, round(min(shape[1:]) / 16))
        self.body = nn.Sequential(
            *_block(shape[0], 32, kernel=stride + 2, stride=stride),
            *_block(32, features, kernel=3, stride=2),
            *_block(features, features, kernel=3, stride=2),
        )
        self.head = nn.Linear(features, classes)

    def features(self, images: Tensor) -> Tensor:
        """Map uint8 images (n, C, H, W) to features (n, d)."""
        activations: Tensor = self.body(images.float() / 127.5 - 1)
        return activations.mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images (n, C, H, W) to logits (n, K)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def outputs(images: ImageSet) -> int:
    """Count what a classifier of these images tells apart: classes, or the turns of images of one class."""
    classes = len(images.class_names)
    return classes if classes > 1 else TURNS


def train_classifier(images: ImageSet, epochs: int, seed: int) -> Classifier:
    """Train a classifier on the CPU, on one thread, by the streams of `seed`.

    Parameters
    ----------
    images : ImageSet
        The real training images; of more than 5,000, so many are drawn (of one class: of more than 1,250).
    epochs : int
        Passes over them.
    seed : int
        The run's seed.

    Returns
    -------
    Classifier
        In evaluation mode. The same for the same arguments, bit for bit on one machine; PyTorch's
        global random state is as it was before.
    """
    alone = len(images.class_names) == 1
    most = MAX_IMAGES // TURNS if alone else MAX_IMAGES
    order = numpy_rng(seed, "evaluation", "classifier", "images").permutation(len(images))[:most]
    pixels, labels = torch.from_numpy(images.images(order)), torch.from_numpy(images.labels[order])
    if alone:
        pixels, labels = _turned(pixels)
    with threads(1), torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would seed the GPUs as well.
        torch.default_generator.manual_seed(derive_seed(seed, "evaluation", "classifier"))
        model = Classifier(images.shape, outputs(images))
        _fit(model, pixels, labels, epochs)
    return model.eval().requires_grad_(False)


def _turned(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Give square images (n, C, H, H) in all their turns, shape (4n, C, H, H), and which turn each has, shape (4n,)."""
    turned = torch.cat([torch.rot90(pixels, turn, (2, 3)) for turn in range(TURNS)])
    return turned, torch.arange(TURNS).repeat_interleave(len(pixels))


def _block(width_in: int, width_out: int, *, kernel: int, stride: int) -> Iterator[nn.Module]:
    yield nn.Conv2d(width_in, width_out, kernel, stride, padding=1, bias=False)
    yield nn.BatchNorm2d(width_out)
    yield nn.ReLU()


def _fit(model: Classifier, pixels: Tensor, labels: Tensor, epochs: int) -> None:
    """Minimise the cross-entropy with Adam, each batch shifted by at most a pixel either way."""
    batches = -(-len(labels) // BATCH)
    optimizer = torch.optim.Adam(model.parameters(), lr=PEAK_LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total_steps=epochs * batches)
    for _ in range(epochs):
        # Equal parts: a last batch of one image would have no variance for the batch norms.
        for batch in torch.randperm(len(labels)).tensor_split(batches):
            loss = F.cross_entropy(model(_shift(pixels[batch])), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def _shift(images: Tensor) -> Tensor:
    """Move all images of a batch by the same -1, 0 or 1 pixels down and right; edges are repeated."""
    down, right = torch.randint(3, (2,)).tolist()
    height, width = images.shape[2:]
    padded = F.pad(images.float(), (1, 1, 1, 1), mode="replicate")
    return padded[:, :, down : down + height, right : right + width]

"""The data sets, one file for each; importing this registers them all."""

from fedphd.common.data.sets.celeba import CelebA
from fedphd.common.data.sets.cifar10 import CIFAR10
from fedphd.common.data.sets.cifar100 import CIFAR100
from fedphd.common.data.sets.digits import Digits
from fedphd.common.data.sets.fashion_mnist import FashionMNIST
from fedphd.common.data.sets.folder import Folder
from fedphd.common.data.sets.hugging_face import HuggingFace
from fedphd.common.data.sets.lsun_church import LSUNChurch
from fedphd.common.data.sets.mnist import MNIST
from fedphd.common.data.sets.npz import Npz

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "CelebA",
    "Digits",
    "FashionMNIST",
    "Folder",
    "HuggingFace",
    "LSUNChurch",
    "Npz",
]

"""The data sets, one file for each; importing this registers them all."""

from fedphd.common.data.sets.cifar10 import CIFAR10
from fedphd.common.data.sets.digits import Digits
from fedphd.common.data.sets.fashion_mnist import FashionMNIST
from fedphd.common.data.sets.folder import Folder
from fedphd.common.data.sets.npz import Npz

__all__ = ["CIFAR10", "Digits", "FashionMNIST", "Folder", "Npz"]

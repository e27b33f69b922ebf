"""Fashion-MNIST, as torchvision reads it."""

from fedphd.common.data.data_set import DATA_SETS
from fedphd.common.data.images import ArrayImages, Split
from fedphd.common.data.torchvision_set import TorchvisionSet, as_images


@DATA_SETS.register("fashion_mnist")
class FashionMNIST(TorchvisionSet):
    """Fashion-MNIST, 28x28 grey: 60,000 images to train and 10,000 held out."""

    def read(self, split: Split, seed: int) -> ArrayImages:  # noqa: ARG002
        """Read the images below `root`.

        Raises
        ------
        SettingError
            If `root` does not hold them, or they cannot be downloaded.
        """
        from torchvision import datasets  # noqa: PLC0415  (imports torch)

        needed = "FashionMNIST/raw with the four unzipped idx files"
        return as_images(self.open(datasets.FashionMNIST, needed, train=split == "train"), channels=1)

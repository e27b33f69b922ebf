"""MNIST, as torchvision reads it."""

from fedphd.common.data.data_set import DATA_SETS
from fedphd.common.data.images import ArrayImages, Split
from fedphd.common.data.torchvision_set import TorchvisionSet, as_images


@DATA_SETS.register("mnist")
class MNIST(TorchvisionSet):
    """MNIST's handwritten digits, 28x28 grey: 60,000 images to train and 10,000 held out."""

    def read(self, split: Split, seed: int) -> ArrayImages:  # noqa: ARG002
        """Read the images below `root`.

        Raises
        ------
        SettingError
            If `root` does not hold them, or they cannot be downloaded.
        """
        from torchvision import datasets  # noqa: PLC0415  (imports torch)

        needed = "MNIST/raw with the four unzipped idx files"
        return as_images(self.open(datasets.MNIST, needed, train=split == "train"), channels=1)

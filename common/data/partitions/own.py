"""Nothing is split: each client has images of its own (common/data/holders.py)."""

from typing import TYPE_CHECKING, ClassVar

from fedphd.common.data.file_set import FileSet
from fedphd.common.data.holders import ROOT
from fedphd.common.data.partitions.base import PARTITIONS, Indices, Partition, Rng
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from fedphd.common.config.schema import Config


@PARTITIONS.register("own")
class Own(Partition):
    """Each client has images of its own."""

    splits: ClassVar[bool] = False

    def split(self, _labels: Indices, _num_classes: int, _clients: int, _rng: Rng) -> list[Indices]:
        """Refuse: there is nothing to split."""
        raise ValueError("partition=own splits nothing")

    def check(self, config: "Config") -> None:
        """Check that the images can be several holders', and that no name of a class tells what noise is to hide.

        Raises
        ------
        SettingError
            If not.
        """
        config.data.of(ROOT)
        epsilon = config.privacy.histogram_epsilon
        if epsilon is not None and isinstance(config.data, FileSet) and config.data.classes is None:
            advice = "hides nothing while each client names the classes that it has; give all of them by data.classes"
            raise SettingError("privacy.histogram_epsilon", epsilon, advice)

"""Nothing is split: each client has images of its own (common/data/holders.py)."""

from typing import TYPE_CHECKING, ClassVar

from fedphd.common.data.holders import ROOT
from fedphd.common.data.partitions.base import PARTITIONS, Indices, Partition, Rng

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
        """Check that the images can be several holders'."""
        config.data.of(ROOT)

"""Which client holds which images: one class for each scheme of `conf/partition/`.

The draws are NumPy's and not those of `flwr_datasets`: of its partitioners only the Dirichlet one
does what the papers do, and it costs each process 1.3 s, 215 MiB and a HuggingFace dataset (the
tests compare with it).

A new scheme is imported here, so that it is registered; the configuration holds them, so this package imports no torch.
"""

from fedphd.common.data.partitions.base import PARTITIONS, Partition, partition
from fedphd.common.data.partitions.dirichlet import Dirichlet
from fedphd.common.data.partitions.holdout import hold_out
from fedphd.common.data.partitions.iid import IID
from fedphd.common.data.partitions.own import Own
from fedphd.common.data.partitions.pathological import Pathological
from fedphd.common.data.partitions.quantity import Quantity

__all__ = ["IID", "PARTITIONS", "Dirichlet", "Own", "Partition", "Pathological", "Quantity", "hold_out", "partition"]

"""Reading images: five kinds of source behind one face, `ImageSet`."""

from fedphd.common.data.holders import check_there, holder_data
from fedphd.common.data.images import ImageSet, check_fits
from fedphd.common.data.loading import Split, load

__all__ = ["ImageSet", "Split", "check_fits", "check_there", "holder_data", "load"]

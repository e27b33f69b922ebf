"""Reading images: five kinds of source behind one face, `ImageSet`."""

from common.data.holders import check_there, holder_data
from common.data.images import ImageSet, check_fits
from common.data.loading import Split, load

__all__ = ["ImageSet", "Split", "check_fits", "check_there", "holder_data", "load"]

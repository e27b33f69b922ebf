"""Reading images: data sets behind one face, `ImageSet`."""

from fedphd.common.data import sets
from fedphd.common.data.data_set import DATA_SETS, DataSet
from fedphd.common.data.holders import holder_data
from fedphd.common.data.images import ArrayImages, ImageSet, Split, check_fits
from fedphd.common.data.loading import load

__all__ = ["DATA_SETS", "ArrayImages", "DataSet", "ImageSet", "Split", "check_fits", "holder_data", "load", "sets"]

"""How near images are to other images: features of images, and nearest neighbours among them."""

from fedphd.common.data.nearness.features import FeatureMap, features_of, find_features
from fedphd.common.data.nearness.neighbours import NEIGHBOURS, Nearest, nearest, spacing

__all__ = ["NEIGHBOURS", "FeatureMap", "Nearest", "features_of", "find_features", "nearest", "spacing"]

"""The cache of decoded images: a set is decoded once, into a file that all messages and processes map."""

from fedphd.common.data.cache.cached_set import CachedSet
from fedphd.common.data.cache.keeping import keep, name_of, name_of_part

__all__ = ["CachedSet", "keep", "name_of", "name_of_part"]

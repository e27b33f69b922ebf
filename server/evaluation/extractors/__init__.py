"""The feature extractors, one file for each; importing this registers them all."""

from fedphd.server.evaluation.extractors.fd_classifier import ClassifierExtractor
from fedphd.server.evaluation.extractors.imported import Imported
from fedphd.server.evaluation.extractors.inception import InceptionExtractor
from fedphd.server.evaluation.extractors.reading import read_extractor

__all__ = ["ClassifierExtractor", "Imported", "InceptionExtractor", "read_extractor"]

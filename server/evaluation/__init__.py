"""What the root measures and draws: sample grids, Fréchet distances, scores by class.

A feature extractor of the user's own, with options, is built of what stands here.
"""

from fedphd.server.evaluation.evaluator import Evaluator
from fedphd.server.evaluation.extractor import EXTRACTORS, Extractor
from fedphd.server.evaluation.features import Features, NetworkFeatures
from fedphd.server.evaluation.workbench import Workbench

__all__ = ["EXTRACTORS", "Evaluator", "Extractor", "Features", "NetworkFeatures", "Workbench"]

"""What the root measures and draws: sample grids, Fréchet distances and other measures, scores by class.

A feature extractor of the user's own, with options, or a measure is built of what stands here.
"""

from fedphd.server.evaluation.evaluator import Evaluator
from fedphd.server.evaluation.extractor import EXTRACTORS, Extractor
from fedphd.server.evaluation.features import Features, NetworkFeatures
from fedphd.server.evaluation.measures import Clouds
from fedphd.server.evaluation.measuring import Measuring
from fedphd.server.evaluation.workbench import Workbench

__all__ = ["EXTRACTORS", "Clouds", "Evaluator", "Extractor", "Features", "Measuring", "NetworkFeatures", "Workbench"]

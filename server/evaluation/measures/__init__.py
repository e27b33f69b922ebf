"""What is measured beside the Fréchet distance, over the same features."""

from fedphd.server.evaluation.measures.clouds import Clouds
from fedphd.server.evaluation.measures.registry import MEASURES, Measure, find_measures, take

__all__ = ["MEASURES", "Clouds", "Measure", "find_measures", "take"]

"""What is measured beside the Fréchet distance, over the same features."""

from fedphd.server.evaluation.measures.clouds import Clouds
from fedphd.server.evaluation.measures.registry import MEASURES, Measure, check_counts, fewest, find_measures, take

__all__ = ["MEASURES", "Clouds", "Measure", "check_counts", "fewest", "find_measures", "take"]

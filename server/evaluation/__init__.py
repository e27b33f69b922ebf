"""What the root measures and draws: sample grids, Fréchet distances, scores by class."""

from fedphd.server.evaluation.evaluator import Evaluator

__all__ = ["Evaluator"]

"""What a measure compares."""

from dataclasses import dataclass

from fedphd.server.evaluation.frechet import Array


@dataclass(frozen=True)
class Clouds:
    """Features of real and of generated images.

    Attributes
    ----------
    real : NDArray[float64]
        Shape (m, d): those of at most 10,000 images of the reference.
    generated : NDArray[float64]
        Shape (n, d).
    over : str
        What the features are of, for the names of measures: ``inception``, ``classifier`` ...
    seed : int
        The run's seed, for what is drawn.
    """

    real: Array
    generated: Array
    over: str
    seed: int

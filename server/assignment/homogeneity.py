"""FedPhD's draw by statistical homogeneity (the authors' code, `select_best_edge_server`)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from fedphd.common.averaging.homogeneity import Distribution, LabelState, Unit, homogeneity, images_in
from fedphd.server.assignment.base import ASSIGNMENTS, ClientRule
from fedphd.server.registry import Registry

FLOOR = 1e-8  # keeps every edge possible


@ASSIGNMENTS.register("homogeneity")
class HomogeneityAssignment(ClientRule):
    """Clients prefer edges whose labels they make more even, and edges with fewer images.

    P(e) is proportional to v_e = ReLU((a * SH(q'_e) + b) * n_bar - n_e) + 1e-8, with n_bar the mean number of images of
    a client over all clients (ours). With ``unit: image``, n_bar is one, and the formula is the authors' to the letter.
    """

    by_labels: ClassVar[bool] = True

    a: PositiveFloat
    b: float
    unit: Unit
    count: Literal["before", "merged"]

    def choose(
        self, client: str, registry: Registry, states: Mapping[str, LabelState], rng: np.random.Generator
    ) -> str:
        """Draw a home by `selection_probabilities`."""
        homes, images = registry.homes[client], images_in(self.unit, registry.mean_samples)
        p = selection_probabilities(
            [states[edge] for edge in homes],
            registry.distribution(client),
            registry.profiles[client].samples,
            a=self.a * images,
            b=self.b * images,
            count=self.count,
        )
        return str(rng.choice(homes, p=p))


def selection_probabilities(
    states: Sequence[LabelState], q_k: Distribution, n_k: float, *, a: float, b: float, count: str
) -> NDArray[np.float64]:
    """Probabilities with which FedPhD's client k chooses each edge.

    For each edge e, with q'_e its distribution after adding the client's images:
    v_e = ReLU(a * SH(q'_e) - n_e + b) + 1e-8 and P(e) = v_e / sum v. From the authors' code, where
    a = 10000 and b = 0; whether the paper counts n_e before or after adding the client is not known,
    so it is an option.

    Parameters
    ----------
    states : Sequence[LabelState]
        (q_e, n_e) of each edge.
    q_k, n_k : Distribution, float
        The client's label distribution, shape (classes,), and number of images.
    a, b : float
        Weight of homogeneity against images, and offset, both in images.
    count : str
        "before": n_e without the client; "merged": with it.

    Returns
    -------
    NDArray[float64]
        Shape (edges,), summing to one.
    """
    merged = [state.add(q_k, n_k) for state in states]
    n = [state.n for state in (merged if count == "merged" else states)]
    s = [homogeneity(state.q) for state in merged]
    v = np.maximum(a * np.array(s) - np.array(n) + b, 0.0) + FLOOR
    return v / v.sum()  # type: ignore[no-any-return]

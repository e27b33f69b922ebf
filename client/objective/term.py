"""What every term of the objective is, and which there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import NonNegativeFloat
from torch import Tensor, nn

from fedphd.common.choices import Choice, Choices
from fedphd.common.config import ObjectiveConfig
from fedphd.common.errors import SettingError
from fedphd.common.training.noise_prediction import Noised
from fedphd.common.wire.parts import PARTS, Parts


@dataclass(frozen=True)
class Compared:
    """What terms compare the trained network with.

    Attributes
    ----------
    received : nn.Module or None
        A copy of the model that the client received; None where no term needs it.
    previous : nn.Module or None
        A copy of the client's previous local model; None where no term needs it, and in a client's first round.
    shared : tuple[str, ...]
        The parts of the network that travel. What each client keeps for itself has no global model to compare with.
    """

    received: nn.Module | None = None
    previous: nn.Module | None = None
    shared: Parts = PARTS

    @property
    def models(self) -> tuple[nn.Module, ...]:
        """The models that there are."""
        return tuple(model for model in (self.received, self.previous) if model is not None)


@dataclass(frozen=True)
class Step:
    """One batch on its way through the network, as terms see it.

    Attributes
    ----------
    unet : nn.Module
        The network that is trained.
    noised : Noised
        What it predicts from, and what it should predict.
    prediction : Tensor
        epsilon_theta(x_t, t), float32, shape (B, C, H, W).
    compared : Compared
        What to compare with.
    collected : Sequence[Tensor]
        What `features` gives; empty where no term needs it.
    """

    unet: nn.Module
    noised: Noised
    prediction: Tensor
    compared: Compared
    collected: Sequence[Tensor] = ()

    @property
    def features(self) -> Tensor:
        """The features of the network's bottleneck in this forward pass, float32, shape (B, C).

        Raises
        ------
        SettingError
            If the network was compiled without them.
        """
        if not self.collected:
            advice = "this process compiled the U-Net before without a term that needs its features; use false"
            raise SettingError("training.compile", True, advice)
        return self.collected[0]


class Term(Choice):
    """A term of the objective; at weight 0 it is off. One that says nothing else counts in every round.

    Attributes
    ----------
    weight : float
        What the term is multiplied by.
    keeps_previous : bool
        Whether clients keep their last local model for it. Since that is pruned together with the network, all
        tiers must know: a term that needs it declares ``keeps_previous: Literal[True]``, and its YAML file says so.
    needs_received : bool
        Whether it looks at the model that the client received.
    needs_features : bool
        Whether it looks at the bottleneck's features; the network then needs a `mid_block`.
    in_sparse_rounds_only : bool
        Whether it counts only in the rounds before a pruning.
    counts_alone : bool
        Whether it is part of the training of a model that a client trains as if nobody else were there; it then
        cannot need the received model.
    """

    weight: NonNegativeFloat
    keeps_previous: bool = False
    needs_received: ClassVar[bool] = False
    needs_features: ClassVar[bool] = False
    in_sparse_rounds_only: ClassVar[bool] = False
    counts_alone: ClassVar[bool] = False

    def value(self, step: Step) -> Tensor | None:
        """Compute what the term adds for a batch, weight included: a scalar; None where it adds nothing."""
        raise NotImplementedError


TERMS = Choices("objective.terms", Term)


def terms_of(config: ObjectiveConfig) -> dict[str, Term]:
    """Read the terms whose weight is above 0, in the order of their names, whatever the order of the settings.

    Raises
    ------
    SettingError
        If there is no such term, or an option does not fit it.
    """
    terms = {name: TERMS.read(config.terms[name], f"objective.terms.{name}") for name in sorted(config.terms)}
    return {name: term for name, term in terms.items() if term.weight > 0}

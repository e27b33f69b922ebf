"""What is trained of a network, and travels: all of its weights, or adapters beside frozen ones (`conf/adapters/`)."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import PositiveFloat, PositiveInt

from fedphd.common.choices import Choice, Choices
from fedphd.common.config.types import Ratio
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from fedphd.common.config.schema import Config


class Adapters(Choice):
    """Small layers beside a network's own, or none.

    Attributes
    ----------
    freezes : bool
        Whether the network's own weights stay as `model.init` gives them, and are at every client and at the root.
    """

    freezes: ClassVar[bool] = True

    @abstractmethod
    def peft(self) -> Any:
        """Make the configuration by which `peft.get_peft_model` adds them to a network.

        Raises
        ------
        SettingError
            If the library is missing, or does not take these options.
        """

    def check_with(self, config: "Config") -> None:
        """Check that the run gives the weights to freeze, and leaves them as they are.

        Raises
        ------
        SettingError
            If it does not.
        """
        if not self.freezes:
            return
        if config.model.init is None:
            advice = (
                f"model.adapters.kind={self.kind} trains beside given weights; give a folder in diffusers' format, "
            )
            raise SettingError("model.init", None, f"{advice}an export, or an id of the Hugging Face hub")
        if config.pruning.after is not None:
            advice = f"would narrow the weights that model.adapters.kind={self.kind} leaves as they are at every client"
            raise SettingError("pruning", config.pruning.kind, f"{advice}; use pruning=none, or adapters=none")


# At the configuration's `model.adapters`; the user's group is `adapters`.
ADAPTERS = Choices("model.adapters", Adapters)  # type: ignore[type-abstract]


@ADAPTERS.register("none")
class NoAdapters(Adapters):
    """All weights of the network are trained, and travel."""

    freezes: ClassVar[bool] = False

    def peft(self) -> None:
        """Add nothing."""


@ADAPTERS.register("lora")
class Lora(Adapters):
    """LoRA (Hu et al. 2021, section 4.1): W stays, and W + (alpha / rank) B A computes; only A and B are trained.

    A and B are averaged separately, as in FedIT (Zhang et al. 2024): the products are not averaged, and the mean of
    products is not the product of means.
    """

    rank: PositiveInt
    alpha: PositiveFloat
    targets: list[str]
    dropout: Ratio

    def peft(self) -> Any:
        """Make peft's LoraConfig: A is drawn (Kaiming uniform), B is zero, so that nothing changes at first."""
        try:
            from peft import LoraConfig  # noqa: PLC0415  (an extra, and slow to import)
        except ImportError:
            advice = "the library peft is not installed; install the extra: pip install 'fedphd[lora]'"
            raise SettingError("model.adapters.kind", self.kind, advice) from None
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            target_modules=self.targets,
            lora_dropout=self.dropout,
            bias="none",
        )

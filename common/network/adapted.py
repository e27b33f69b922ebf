"""A network whose own weights are frozen, and which learns by adapters beside them."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from fedphd.common.config.adapters import Adapters
from fedphd.common.errors import SettingError


class AdaptedUNet(nn.Module):
    """A network that shows its adapters alone: they are its parameters and its state, and so what is trained and sent.

    It predicts as the network does, with the adapters' part added.

    Parameters
    ----------
    unet : nn.Module
        The network; frozen, and given its adapters in place. These are drawn by torch's global generator.
    adapters : Adapters
        Which.

    Attributes
    ----------
    config : object
        The network's options.

    Raises
    ------
    SettingError
        If the adapters do not fit the network, or peft is missing.
    """

    prunable = False

    def __init__(self, unet: nn.Module, adapters: Adapters) -> None:
        super().__init__()
        options = adapters.peft()
        from peft import get_peft_model  # noqa: PLC0415  (an extra, and slow to import)

        try:
            self._peft = get_peft_model(unet, options)
        except Exception as error:  # whatever peft raises for options that it cannot use
            raise _unfit(unet, adapters, error) from error
        self.config = unet.config
        self._names = frozenset(name for name, one in self.network.named_parameters() if one.requires_grad)

    @property
    def network(self) -> nn.Module:
        """The network with its adapters in place."""
        inner: nn.Module = self._peft.get_base_model()
        return inner

    @property
    def mid_block(self) -> nn.Module | None:
        """The network's bottleneck, whose features a term may compare."""
        return getattr(self.network, "mid_block", None)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Predict as the network does."""
        return self.network(*args, **kwargs)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the adapters, by their names within the network."""
        yield from ((name, one) for name, one in self.network.named_parameters(*args, **kwargs) if name in self._names)

    def state_dict(self, *_args: Any, **_kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Give the adapters, detached."""
        return {name: one.detach() for name, one in self.named_parameters()}

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *_args: Any, **_kwargs: Any) -> Any:
        """Take the adapters, all of them.

        Raises
        ------
        RuntimeError
            If some are missing or unknown, or have other shapes.
        """
        if strange := self._names.symmetric_difference(state_dict):
            raise RuntimeError(f"the adapters do not have the same names: {min(strange)}")
        return self.network.load_state_dict(state_dict, strict=False)

    def merged(self) -> nn.Module:
        """Give the network with its adapters added into its weights; this one is of no use any more."""
        network: nn.Module = self._peft.merge_and_unload()
        return network.requires_grad_(True)


def _unfit(unet: nn.Module, adapters: Adapters, error: Exception) -> SettingError:
    layers = (name for name, layer in unet.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d))
    ends = sorted({_end(name) for name in layers})
    given = adapters.model_dump(exclude={"kind"})
    cause = str(error).split("\n")[0]
    return SettingError("model.adapters", given, f"cannot be added ({cause}); targets may be {', '.join(ends)}")


def _end(name: str) -> str:
    """Shorten a layer's name to what tells its kind: its last word, and the one before a number."""
    words = name.split(".")
    return ".".join(words[-2:]) if words[-1].isdigit() else words[-1]

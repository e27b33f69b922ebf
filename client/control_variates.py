"""SCAFFOLD's control variates: a client's gradients are corrected for how its data differ from all others'."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class ControlVariates:
    """The control variates of one client in one edge round (Karimireddy et al. 2020, Algorithm 1, option II).

    Every local step takes d_i = g_i + c - c_k in place of the gradient g_i (clipped, where training
    clips), and afterwards

        c_k+ = c_k - c + sum_i eta_i d_i / sum_i eta_i

    with eta_i the rate of step i. With SGD, sum_i eta_i d_i is x - y, the way from the received
    weights x to the trained ones y; so for a constant rate eta over K steps this is the paper's
    c_k - c + (x - y) / (K eta). With Adam, d_i is what Adam is given, so that c_k stays a mean
    gradient whatever Adam makes of it (ours: the paper has SGD only).

    Parameters
    ----------
    unet : nn.Module
        The network that is about to be trained.
    c, c_k : Mapping[str, Tensor]
        The server's and the client's control variate by the name of the parameter, of its shape;
        zeros at first. They may name some of the parameters only; the others' gradients stay as they are.

    Raises
    ------
    ValueError
        If c and c_k name different parameters, or some that the network does not have.
    """

    def __init__(self, unet: nn.Module, c: Mapping[str, Tensor], c_k: Mapping[str, Tensor]) -> None:
        parameters = dict(unet.named_parameters())
        strange = (c.keys() ^ c_k.keys()) | (c.keys() - parameters.keys())
        if strange:
            raise ValueError(f"control variates do not fit the network, or one another: {min(strange)}")
        self._parameters = {name: parameters[name] for name in c}
        self._correction = {name: c[name] - c_k[name] for name in c}
        self._sum: dict[str, Tensor] = {}
        self._rate_sum = 0.0

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Add up what an optimizer is given from now on. The network is where it will be trained."""
        for name, parameter in self._parameters.items():
            # In the parameter's place and memory layout, which on a GPU is channels-last.
            self._correction[name] = torch.empty_like(parameter).copy_(self._correction[name])
            self._sum[name] = torch.zeros_like(parameter)
        optimizer.register_step_pre_hook(self._add_up)

    def correct(self) -> None:
        """Add c - c_k to the gradients."""
        for name, parameter in self._parameters.items():
            if parameter.grad is not None:
                parameter.grad += self._correction[name]

    def result(self) -> dict[str, Tensor]:
        """Give c_k+ by the name of the parameter: float32, on the CPU."""
        return {
            name: (self._sum[name] / self._rate_sum - correction).float().contiguous().cpu()
            for name, correction in self._correction.items()
        }

    def _add_up(self, optimizer: torch.optim.Optimizer, _args: object, _kwargs: object) -> None:
        [group] = optimizer.param_groups
        self._rate_sum += group["lr"]
        for name, parameter in self._parameters.items():
            if parameter.grad is not None:
                self._sum[name].add_(parameter.grad, alpha=group["lr"])

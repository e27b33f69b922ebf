"""The time of an exported U-Net as it was trained: an export may have a table where the U-Net has sinusoids."""

from collections.abc import Mapping

import torch
from torch import Tensor

from fedphd.common.network.networks import UNet

TABLE, FIRST = "time_proj.weight", "time_embedding.linear_1"
NEGLIGIBLE = 1e-6  # of the largest singular value of the sinusoids: below, float32 holds nothing of them
TOLERANCE = 1e-4  # of the largest number that the layer makes


def with_sinusoids(state: Mapping[str, Tensor], unet: UNet) -> Mapping[str, Tensor]:
    """Let the first layer of the time's embedding read sinusoids again, if it reads a table of T vectors.

    A uniformly pruned U-Net is a narrower one of diffusers but for its sinusoids, which are as many as the dense one
    has; so an export stores what the layer makes of them, Z = S W^T + b, as a table times narrower weights. W and b are
    found from Z by least squares. They make the same of every time, and need not be those that were trained.

    Parameters
    ----------
    state : Mapping[str, Tensor]
        Weights of the model; left as they are.
    unet : UNet
        The dense network as it is configured, with or without memory.

    Returns
    -------
    Mapping[str, Tensor]
        The same weights, if there is no table, the network has one itself, or its sinusoids cannot make the same.
    """
    if TABLE not in state or TABLE in unet.state_dict() or f"{FIRST}.weight" not in state:
        return state
    table, weight, bias = (state[name].double() for name in (TABLE, f"{FIRST}.weight", f"{FIRST}.bias"))
    Z = table @ weight.T + bias
    S = torch.nn.functional.pad(unet.get_submodule("time_proj")(torch.arange(len(table))).double(), (0, 1), value=1.0)
    solution = torch.linalg.pinv(S, rtol=NEGLIGIBLE) @ Z
    if (S @ solution - Z).abs().max() > TOLERANCE * Z.abs().max():
        return state
    found = {f"{FIRST}.weight": solution[:-1].T.float(), f"{FIRST}.bias": solution[-1].float()}
    return {name: tensor for name, tensor in {**state, **found}.items() if name != TABLE}

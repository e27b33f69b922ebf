"""Training and drawing on a GPU, for machines that have one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import small_config

from client.network import network
from client.objective import Objective
from client.optimizer_store import OptimizerStore
from client.training import train
from common.diffusion import Diffusion
from common.model import build_unet
from common.packing import pack
from server.evaluation.sampling import draw

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("compiled", [False, True])
def test_two_edge_rounds_with_kept_moments_then_sampling(tmp_path: Path, compiled: bool) -> None:
    config = small_config(f"training.compile={compiled}")
    device = torch.device("cuda")
    packed = pack(build_unet(config.model, 0).state_dict())
    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    for edge_round in range(2):
        store = OptimizerStore(tmp_path, packed.structure.id, [edge_round])
        unet = network(config.model, packed)
        objective = Objective(config.objective, Diffusion(config.diffusion), sparse=True)
        rounds = {"edge_round": edge_round, "edge_rounds": 2}
        train(unet, images, objective, config.training, store=store, **rounds, seed=edge_round, device=device)
        packed = pack(unet.state_dict())
    assert np.isfinite(packed.vector).all()
    drawn = draw(unet, Diffusion(config.diffusion), 3, seed=0, batch_size=2, device=device)
    assert drawn.shape == (3, 1, 8, 8)

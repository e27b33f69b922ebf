"""Training and drawing on a GPU, for machines that have one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import small_config

from fedphd.client.control_variates import ControlVariates
from fedphd.client.network import network
from fedphd.client.objective import Objective
from fedphd.client.optimizer_store import OptimizerStore
from fedphd.client.training import train
from fedphd.common.data.training_set import TrainingSet
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import pack
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.sampling import draw

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
        parts = {"store": store, "seed": edge_round, "device": device}
        train(unet, TrainingSet(images), objective, config.training, **parts, **rounds)
        packed = pack(unet.state_dict())
    assert np.isfinite(packed.vector).all()
    drawn = draw(unet, Diffusion(config.diffusion), 3, seed=0, batch_size=2, device=device)
    assert drawn.shape == (3, 1, 8, 8)


@pytest.mark.parametrize("compiled", [False, True])
def test_all_terms_of_the_objective_and_control_variates(compiled: bool) -> None:
    torch.compiler.reset()
    config = small_config(f"training.compile={compiled}", "training.precision=float32", "training.optimizer=sgd")
    terms = config.objective.model_copy(update={"sparsity": 1e-3, "proximal": 0.1, "contrastive": 1.0})
    unet, received, previous = (build_unet(config.model, seed) for seed in (0, 0, 1))
    c, c_k = ({name: torch.full_like(p, value) for name, p in unet.named_parameters()} for value in (0.002, -0.001))
    control = ControlVariates(unet, c, c_k)
    objective = Objective(terms, Diffusion(config.diffusion), True, received, previous)
    images = TrainingSet(torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8))
    training = config.training.model_copy(update={"lr": 0.1, "warmup_steps": 0, "schedule": "constant"})
    rounds = {"edge_round": 0, "edge_rounds": 2}
    parts = {"store": None, "seed": 0, "device": torch.device("cuda")}
    result = train(unet, images, objective, training, **parts, **rounds, control=control)
    x, new = received.state_dict(), control.result()
    for name, y in unet.state_dict().items():
        expected = c_k[name] - c[name] + (x[name] - y).cpu() / (result.steps * 0.1)
        torch.testing.assert_close(new[name], expected, rtol=1e-2, atol=1e-4)

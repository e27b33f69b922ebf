"""Training and drawing on a GPU, for machines that have one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import small_config

import fedphd.common.data.training_set
from fedphd.client.control_variates import ControlVariates
from fedphd.client.network import network
from fedphd.client.objective import Compared, Objective, terms_of
from fedphd.client.optimizer_store import OptimizerStore
from fedphd.client.training import train
from fedphd.common.data.training_set import TrainingSet
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import pack
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import DISTANCES
from fedphd.common.training.reverse import ReverseProcess
from fedphd.common.training.sampling import Sampler
from fedphd.common.training.session import Session

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
        objective = Objective(DISTANCES["mse"], Diffusion(config.diffusion))
        session = Session(config.training, device, edge_round, edge_round, 2)
        train(unet, TrainingSet(images), objective, session, store=store)
        packed = pack(unet.state_dict())
    assert np.isfinite(packed.vector).all()
    drawn = Sampler(ReverseProcess.of(config), seed=0, batch_size=2, device=device).draw(unet, 3)
    assert drawn.shape == (3, 1, 8, 8)


def test_images_that_would_fill_the_gpu_move_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    indices = torch.randperm(40, device="cuda")
    batches = []
    for most in (0.5, 0.0):
        monkeypatch.setattr(fedphd.common.data.training_set, "MOST", most)
        moved = TrainingSet(images).to(torch.device("cuda"))
        assert (moved.device.type, moved.images.is_cuda) == ("cuda", most > 0)
        batches.append(moved.batch(indices, flip=False))
    torch.testing.assert_close(*batches, rtol=0, atol=0)


@pytest.mark.parametrize("compiled", [False, True])
def test_all_terms_of_the_objective_and_control_variates(compiled: bool) -> None:
    torch.compiler.reset()
    terms = "+objective/term=[contrastive,group_sparsity,proximal]"
    config = small_config(f"training.compile={compiled}", "training.precision=float32", "training.optimizer=sgd", terms)
    unet, received, previous = (build_unet(config.model, seed) for seed in (0, 0, 1))
    c, c_k = ({name: torch.full_like(p, value) for name, p in unet.named_parameters()} for value in (0.002, -0.001))
    control = ControlVariates(unet, c, c_k)
    compared = Compared(received, previous)
    objective = Objective(DISTANCES["mse"], Diffusion(config.diffusion), terms_of(config.objective), compared)
    images = TrainingSet(torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8))
    training = config.training.model_copy(update={"lr": 0.1, "warmup_steps": 0, "schedule": "constant"})
    session = Session(training, torch.device("cuda"), seed=0, edge_rounds=2)
    result = train(unet, images, objective, session, control=control)
    x, new = received.state_dict(), control.result()
    for name, y in unet.state_dict().items():
        expected = c_k[name] - c[name] + (x[name] - y).cpu() / (result.steps * 0.1)
        torch.testing.assert_close(new[name], expected, rtol=1e-2, atol=1e-4)

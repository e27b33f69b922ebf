"""A client's training of FedPhD's CIFAR-10 network beside a plain diffusers loop: images per second and memory.

All variants train in one process, by turns, on the same random images, which lie on the device already; ratios are to
the plain loop of the same precision. The plain loop is what diffusers' own example of unconditional training does with
each batch, without its data loader. `python -m benchmarks.training_speed [IMAGES BATCH [compile]]`: on a GPU 1,024 and
128 if nothing is given, on a CPU 32 and 16; compiling takes minutes.
"""

import copy
import statistics
import sys
import time
from collections.abc import Callable

import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor

from fedphd.client.objective import Objective
from fedphd.client.training import train
from fedphd.common.config import compose
from fedphd.common.data.training_set import TrainingSet
from fedphd.common.network import UNet
from fedphd.common.network.build import build_unet
from fedphd.common.network.pruning import prune
from fedphd.common.training.compute import autocast, compute_float32_as, pick_device
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import find_distance
from fedphd.common.training.session import Session

TURNS = 5
NETWORK = ["model=fedphd_cifar10", "data=cifar10", "data.root=."]
Train = Callable[[Tensor], None]


def plain(precision: str, batch: int, device: torch.device) -> Train:
    """Give the loop of diffusers' example."""
    unet = UNet2DModel(**compose(NETWORK).model.unet).to(device).train()
    optimizer = torch.optim.Adam(unet.parameters(), lr=2e-4)
    scheduler = DDPMScheduler(num_train_timesteps=1000)

    def epoch(images: Tensor) -> None:
        compute_float32_as("float32")  # PyTorch's defaults
        for chosen in torch.randperm(len(images), device=device).split(batch):
            x_0 = images[chosen].float() / 127.5 - 1
            noise, t = torch.randn_like(x_0), torch.randint(1000, (len(x_0),), device=device)
            with autocast(device, precision):
                loss = torch.nn.functional.mse_loss(unet(scheduler.add_noise(x_0, noise, t), t).sample.float(), noise)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
            optimizer.step()

    return epoch


def ours(network: UNet, precision: str, batch: int, device: torch.device, compiled: bool = False) -> Train:
    """Give a client's training for one epoch."""
    options = [f"batch_size={batch}", f"precision={precision}", f"compile={compiled}", "flip=true"]
    config = compose([*NETWORK, *(f"training.{option}" for option in options)])
    unet = copy.deepcopy(network)
    objective = Objective(find_distance("mse"), Diffusion(config.diffusion))
    session = Session(config.training, device, seed=0)

    def epoch(images: Tensor) -> None:
        compute_float32_as(precision)
        train(unet, TrainingSet(images), objective, session)

    return epoch


def measure(variants: dict[str, Train], images: Tensor) -> dict[str, tuple[float, float]]:
    """Give images per second (the median of the turns) and peak GiB of the device."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    peaks: dict[str, float] = {}
    cuda = images.is_cuda
    for turn in range(TURNS + 1):  # the first one warms up
        for name, epoch in variants.items():
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated() if cuda else 0
            started = time.perf_counter()
            epoch(images)
            if cuda:
                torch.cuda.synchronize()
                peaks[name] = (torch.cuda.max_memory_allocated() - before) / 2**30
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: (len(images) / statistics.median(own), peaks.get(name, 0.0)) for name, own in seconds.items()}


def main() -> None:
    """Print a table."""
    device = pick_device(compose(NETWORK))
    cuda = device.type == "cuda"
    images_count, batch = (int(given) for given in (sys.argv[1:3] or (["1024", "128"] if cuda else ["32", "16"])))
    images = torch.randint(0, 256, (images_count, 3, 32, 32), dtype=torch.uint8, device=device)
    dense = build_unet(compose(NETWORK).model, 0)
    pruned, _ = prune(dense, 0.2)
    variants: dict[str, Train] = {}
    for precision in ("float32", "bfloat16") if cuda else ("float32",):
        variants[f"plain diffusers, {precision}"] = plain(precision, batch, device)
        variants[f"client, {precision}"] = ours(dense, precision, batch, device)
        variants[f"client, {precision}, pruned 0.2"] = ours(pruned, precision, batch, device)
        if "compile" in sys.argv:
            variants[f"client, {precision}, compiled"] = ours(dense, precision, batch, device, compiled=True)
    found = measure(variants, images)
    print(f"{images_count} images in batches of {batch} on {torch.cuda.get_device_name() if cuda else 'the CPU'}")
    print("variant                             images/s  ratio  peak GiB beyond the weights")
    for name, (speed, peak) in found.items():
        reference = found[f"plain diffusers, {'bfloat16' if 'bfloat16' in name else 'float32'}"][0]
        print(f"{name:34} {speed:9.1f}  {speed / reference:5.2f}  {peak:6.2f}")


if __name__ == "__main__":
    main()

"""What can be found wrong before any process is started."""

import os

import torch

from fedphd.common.config import Config, FineTuning, RuntimeConfig
from fedphd.common.config.runtime import Deployment, Ray
from fedphd.common.config.topology import client_id
from fedphd.common.data.holders import ROOT, check_there, holder_data
from fedphd.common.data.images import check_fits
from fedphd.common.data.loading import load
from fedphd.common.data.partitions import partition
from fedphd.common.errors import SettingError
from fedphd.common.network.autoencoder import autoencoder_of
from fedphd.common.network.build import build_unet, count
from fedphd.common.network.pruning import prune
from fedphd.common.training.compute import pick_device
from fedphd.common.training.diffusion import Diffusion
from fedphd.launch.runtimes.deployment import address
from fedphd.server.assignment import ASSIGNMENTS

CPU_SPEED = 4e10  # MACs in a second on one core, as measured for our U-Nets (3 to 6 times 1e10)
LONG = 10  # minutes


def check(config: Config) -> list[str]:
    """Read the data, draw the partition, load the autoencoder, build and prune the U-Net once, as the run will.

    A ratio that cannot be pruned would else be found only after the sparse rounds.

    Returns
    -------
    list[str]
        What the user should know before the start: parts that do nothing, evaluations that take long, a deployment
        without security.

    Raises
    ------
    SettingError
        If the images cannot be read, do not fit the U-Net or its autoencoder, or cannot be split as
        asked; if the autoencoder cannot be loaded or its latents do not fit the U-Net; if the U-Net
        cannot be built or pruned so; if the device is not there.
    """
    device = pick_device(config.runtime.device)
    _check_gpus(config.runtime)
    if isinstance(config.runtime, Deployment):
        address(config.runtime)
    ASSIGNMENTS.read(config.assignment)
    Diffusion(config.diffusion)
    _check_data(config)
    autoencoder_of(config.model, device)
    unet = build_unet(config.model, config.seed)
    if config.pruning.after is not None:
        unet, _ = prune(unet, config.pruning.share)
    notes = _insecure(config.runtime) + _idle_parts(config)
    return notes + (_long_evaluations(config, count(unet)[1]) if device.type == "cpu" else [])


def _check_data(config: Config) -> None:
    """Read what the root evaluates with, and what is split over the clients, as far as it is on this machine."""
    clients = [client_id(index) for index in range(config.topology.clients)]
    splits = config.partition.splits
    holders = [ROOT, *(() if splits or config.runtime.elsewhere else clients)]
    for data in dict.fromkeys(holder_data(config, holder) for holder in holders):
        check_there(data)
        images = load(data, "train", config.seed)
        check_fits(images, config.model)
    if splits:
        partition(images.labels, len(images.class_names), config.partition, len(clients), config.seed)


def _check_gpus(runtime: RuntimeConfig) -> None:
    gpus = torch.cuda.device_count()
    if isinstance(runtime, Ray) and runtime.gpus_per_client > gpus:
        advice = f"this machine has {gpus} GPUs; no client could ever train; use at most {gpus}"
        raise SettingError("runtime.gpus_per_client", runtime.gpus_per_client, advice)


def _insecure(runtime: RuntimeConfig) -> list[str]:
    if runtime.secure:
        return []
    return [
        "WARNING: runtime.insecure=true: no TLS and no keys; whoever reaches a port of this deployment can run code in "
        "it, read its models and pose as a client; only for trials on a machine of your own"
    ]


def _idle_parts(config: Config) -> list[str]:
    """Tell of what has no effect, or on fewer clients than one would think; in an ablation that may be meant."""
    notes = []
    if config.objective.sparsity > 0 and not config.pruning.sparse:
        notes.append(
            f"objective.sparsity={config.objective.sparsity:g} has no effect with pruning={config.pruning.kind}: "
            "only pruning=sparse_then_prune has sparse rounds"
        )
    correction, clients = config.correction, config.topology.clients
    if isinstance(correction, FineTuning) and correction.images < clients:
        notes.append(
            f"correction.images={correction.images} are fewer than topology.clients={clients}: of some clients' local "
            "models no image is drawn"
        )
    return notes


def _long_evaluations(config: Config, macs: int) -> list[str]:
    evaluation, steps = config.evaluation, config.diffusion.sampler_steps
    images = max(evaluation.images, evaluation.grid_images)
    models = config.topology.clients if config.exchange.keeps_parts else 1
    minutes = models * images * steps * macs / CPU_SPEED / (os.cpu_count() or 1) / 60
    if minutes < LONG:
        return []
    whose = "" if models == 1 else f" with each of {models} clients' models"
    return [
        f"each evaluation draws {images} images{whose} in {steps} steps: about {minutes:.0f} minutes on this CPU; "
        f"lower evaluation.images={evaluation.images} or diffusion.sampler_steps={steps}, or draw a few with "
        "evaluation=grid"
    ]

"""What can be found wrong before any process is started."""

import os
from pathlib import Path
from typing import NamedTuple

import torch

from fedphd.client.local_model import lone_objective
from fedphd.client.objective import check_features, terms_of
from fedphd.common.config import Config, FineTuning, RuntimeConfig
from fedphd.common.config.runtime import Deployment, Ray
from fedphd.common.data.nearness import find_features
from fedphd.common.errors import SettingError
from fedphd.common.network import UNet
from fedphd.common.network.autoencoder import autoencoder_of
from fedphd.common.network.build import build_unet
from fedphd.common.network.counting import count
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.network.pruning import prune
from fedphd.common.run.run_folder import CHECKPOINTS
from fedphd.common.run.sole_writer import refuse_used, sole_writer
from fedphd.common.training.compute import pick_device
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import check_each
from fedphd.common.training.reverse import ReverseProcess
from fedphd.common.wire.parts import PARTS, part_of
from fedphd.launch.classes import with_classes
from fedphd.launch.holdings import Holding, read_images, root_has_none, save
from fedphd.launch.image_shape import follow_images, notes_on_following
from fedphd.launch.runtimes.deployment import address
from fedphd.server.assignment import ASSIGNMENTS
from fedphd.server.checkpoint import load as load_checkpoint
from fedphd.server.first_model import first_model, identified
from fedphd.server.pruning_schedule import load_unet
from fedphd.server.recorder import check_outlets

CPU_SPEED = 4e10  # MACs in a second on one core, as measured for our U-Nets (3 to 6 times 1e10)
IN_IMAGES = 1000  # an a of FedPhD's above this was hardly meant in clients
LONG = 10  # minutes


class Checked(NamedTuple):
    """What there is before a start.

    Attributes
    ----------
    config : Config
        The configuration as the run's processes need it: with the number of classes, `model.init_hash`, and nothing
        that follows the images left open.
    notes : list[str]
        What the user should know: what was left out or changed of the images, parts that do nothing, evaluations that
        take long, a deployment without security.
    holdings : list[Holding]
        What there is of images.
    """

    config: Config
    notes: list[str]
    holdings: list[Holding]


def make_ready(config: Config, run_dir: Path) -> tuple[Config, list[str]]:
    """Check all that can be checked before the start, and make the run folder.

    Returns
    -------
    tuple[Config, list[str]]
        The configuration and the notes of `check`; paths of trackers and the like are absolute.

    Raises
    ------
    SettingError
        If `check` finds something, the folder holds another run or is in use, a run to go on with has no sound
        checkpoint, or what the root needs for its measurements is missing.
    """
    config, notes, holdings = check(config)
    if config.checkpoint.resume is None:
        refuse_used(run_dir)
    else:
        with sole_writer(run_dir):  # free: the root's process takes the lock itself, since it may outlive this one
            load_checkpoint(config.checkpoint.resume / CHECKPOINTS)
    config = check_outlets(config, run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    save(holdings, run_dir)
    return config, notes


def check(config: Config) -> Checked:
    """Read the data, draw the partition, load the autoencoder, build and prune the U-Net once, as the run will.

    A ratio that cannot be pruned would else be found only after the sparse rounds.

    Raises
    ------
    SettingError
        If there is no such term of the objective, distance, measure, sampler or network, or an option does not fit it;
        if the images, those held out among them, cannot be read or are too few to measure with, do not fit the U-Net
        or its autoencoder, or cannot be split as asked; if the autoencoder cannot be loaded or its latents do not fit
        the U-Net; if the U-Net cannot be built or pruned so, or has no such parts; if `model.init` cannot be read or
        does not fit it; if the device is not there.
    """
    following = follow_images(config)
    notes = notes_on_following(config, following)
    config, of_given = identified(with_classes(following))
    device = pick_device(config)
    _check_gpus(config.runtime)
    if isinstance(config.runtime, Deployment):
        address(config.runtime)
    ASSIGNMENTS.read(config.assignment)
    Diffusion(config.diffusion)
    ReverseProcess.of(config).rehearse()
    if config.diffusion.min_snr is not None:
        check_each(config.objective.loss)
    if config.evaluation.memorisation:
        find_features(config.evaluation.memorisation_features)
    holdings = read_images(config)
    autoencoder_of(config.model, device)
    unet = load_unet(config, _model(config))
    check_features(terms_of(config.objective), unet)
    lone_objective(config)
    _check_parts(config, unet)
    if config.pruning.after is not None:
        unet, _ = prune(unet, config.pruning.share)
    notes += (
        of_given
        + _insecure(config.runtime)
        + _no_images_of_the_root(config)
        + [note for one in holdings for note in one.told]
        + _idle_parts(config)
    )
    notes += _long_evaluations(config, count(unet)[1]) if device.type == "cpu" else []
    return Checked(config, notes, holdings)


def _model(config: Config) -> PackedModel:
    """Make the first model; a resumed run has its own, and needs `model.init` for adapters only."""
    if config.checkpoint.resume is None:
        return first_model(config)
    return pack(build_unet(config.model, config.seed).state_dict())


def _check_parts(config: Config, unet: UNet) -> None:
    """Check that the network has the parts that the exchange names."""
    if config.exchange.averages == [PARTS]:
        return
    try:
        parts = {part_of(name) for name, _ in unet.named_parameters()}
    except ValueError as error:
        raise _no_such_parts(config, str(error)) from None
    if missing := [part for part in PARTS if part not in parts]:
        raise _no_such_parts(config, f"this one has no {' and no '.join(missing)}")


def _no_such_parts(config: Config, cause: str) -> SettingError:
    advice = f"needs a network with diffusers' parts ({cause}); use exchange=full, or another network"
    return SettingError("exchange", config.exchange.kind, advice)


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


def _no_images_of_the_root(config: Config) -> list[str]:
    return ["the root has no images of its own: pictures are drawn, and nothing is measured"] * root_has_none(config)


def _idle_parts(config: Config) -> list[str]:
    """Tell of what has no effect, or on fewer clients than one would think; in an ablation that may be meant."""
    notes = []
    for name, term in terms_of(config.objective).items():
        if term.in_sparse_rounds_only and not config.pruning.sparse:
            notes.append(
                f"objective.terms.{name} has no effect with pruning={config.pruning.kind}: "
                "only pruning=sparse_then_prune has sparse rounds"
            )
    if config.evaluation.clients == "averaged" and not config.exchange.keeps_parts:
        notes.append(
            f"evaluation.clients=averaged has no effect with exchange={config.exchange.kind}: "
            "the global model is measured"
        )
    if config.partition.holdout and not config.evaluation.asks_clients(last=True):
        notes.append(
            f"partition.holdout={config.partition.holdout} only takes images from training: nobody measures with them; "
            "set evaluation.own=true or evaluation.memorisation=100"
        )
    correction, clients = config.correction, config.topology.clients
    if isinstance(correction, FineTuning) and correction.images < clients:
        notes.append(
            f"correction.images={correction.images} are fewer than topology.clients={clients}: of some clients' local "
            "models no image is drawn"
        )
    if config.model.classes is None and config.sampler.guidance != 1:
        notes.append(
            f"sampler.guidance={config.sampler.guidance:g} has no effect with model.classes=null: only a model that is "
            "told classes is guided to one"
        )
    return notes + _idle_assignment(config)


def _idle_assignment(config: Config) -> list[str]:
    """Tell of options of another assignment, which an experiment may have set, and of an a that counts in images."""
    rule, given = ASSIGNMENTS.read(config.assignment), config.assignment.model_dump(exclude_unset=True)
    notes = [
        f"assignment.{option}={value} has no effect with assignment={rule.kind}"
        for option, value in given.items()
        if option not in rule.model_dump()
    ]
    seen = config.topology.clients * config.topology.edge_rounds  # mean clients at an edge in a root round, at most
    for key, choice in (("assignment", rule), ("weighting.root", config.weighting.root)):
        a = getattr(choice, "a", 0.0)
        if getattr(choice, "unit", None) == "client" and a > max(10 * seen, IN_IMAGES):
            notes.append(
                f"{key}.a={a:g} counts in mean clients, and makes images count for nothing; for images set "
                f"{key}.unit=image"
            )
    return notes


def _long_evaluations(config: Config, macs: int) -> list[str]:
    evaluation, steps = config.evaluation, config.sampler.steps
    models = config.topology.clients if config.exchange.keeps_parts else 1
    beside = evaluation.grid_images if config.model.classes is not None and models == 1 else 0  # a picture of its own
    last = evaluation.images_at(last=True) + evaluation.memorisation
    images = max(max(evaluation.images, last) + beside, evaluation.grid_images)
    passes = 1 if config.model.classes is None or config.sampler.guidance == 1 else 2  # of the network in a step
    minutes = models * images * steps * passes * macs / CPU_SPEED / (os.cpu_count() or 1) / 60
    if minutes < LONG:
        return []
    asked = ["evaluation.memorisation"] * bool(evaluation.memorisation)
    lower = ["evaluation.images", "evaluation.final_images", *asked]
    whose = "" if models == 1 else f" with each of {models} clients' models"
    return [
        f"an evaluation draws up to {images} images{whose} in {steps} steps: about {minutes:.0f} minutes on this CPU; "
        f"lower {', '.join(lower)} or sampler.steps={steps}, or draw a few with evaluation=grid"
    ]

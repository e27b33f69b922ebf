"""The model card: what people must know of a model that they get, and how to draw with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fedphd.common.config import Config
from fedphd.common.network.build import pixel_shape
from fedphd.common.network.counting import count
from fedphd.common.run.figures import HOPS, size, three_digits
from fedphd.common.run.metrics import Metrics
from fedphd.common.run.run_folder import RunFolder
from fedphd.launch.export.bundle import NETWORKS, PIPELINE
from fedphd.launch.export.calls import Call
from fedphd.launch.export.disclosed import told_of_images, travelled
from fedphd.launch.export.drawable import Drawable
from fedphd.launch.export.licence import licence_fields, licence_text
from fedphd.launch.export.origin import hub_id, origin
from fedphd.server.state import GlobalState

FOLDER = Path(__file__).parent
COPIED = (
    " `copied_share` is the share of generated images that are copies of an image that a client trained on: 0 is best."
)
TAGS = ("diffusers", "fedphd", "federated-learning")


@dataclass(frozen=True)
class Carded:
    """What a card tells of.

    Attributes
    ----------
    run : Path
        The run's folder.
    config : Config
        Its configuration.
    state : GlobalState
        What its root had when the model was taken.
    drawable : Drawable
        The model.
    averaged : bool
        Whether it is the moving average.
    call : Call
        How it is drawn with.
    licence : str or None
        What the user says of it.
    """

    run: Path
    config: Config
    state: GlobalState
    drawable: Drawable
    averaged: bool
    call: Call
    licence: str | None


def model_card(about: Carded) -> str:
    """Write the card, in Markdown with YAML front matter as the Hugging Face hub reads it."""
    environment = Environment(loader=FileSystemLoader(FOLDER), undefined=StrictUndefined, keep_trailing_newline=True)
    config, drawable = about.config, about.drawable
    channels, side, _ = pixel_shape(config.model)
    folder = RunFolder(about.run)
    metrics = folder.history().metrics
    partition = folder.partition()
    return environment.get_template("card.md").render(
        front=_front(about),
        title=f"{config.method} on {config.data.kind}",
        version=version("fedphd"),
        shape=f"{side} x {side} pixels{', grey' if channels == 1 else ''}",
        clients=len(partition.get("clients", {})) or config.topology.clients,
        call=about.call.code,
        carried=", ".join(f"`{name}`" for name in _carried(drawable)),
        command=about.call.command,
        notes=list(_notes(about)),
        model=list(_model(about)),
        training=list(_training(config)),
        travelled=travelled(config),
        data=_data(partition, config.partition.holdout),
        classes=list(_classes(partition)),
        privacy=_privacy(config),
        hops=list(_hops(config, metrics.get(about.state.round))),
        round=about.state.round,
        quality=_quality(about, metrics),
        measures=_measures(_measured(metrics, about.state.round)),
        license=licence_text(about.licence),
    )


def _front(about: Carded) -> str:
    kind = "class-conditional" if about.drawable.classes else "unconditional"
    fields = licence_fields(about.licence) | {
        "library_name": "diffusers",
        "pipeline_tag": "unconditional-image-generation",
        "tags": [*TAGS, f"{kind}-image-generation"],
    }
    if (base := hub_id(about.config.model.init)) is not None:
        fields["base_model"] = base
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _carried(drawable: Drawable) -> Iterator[str]:
    if not drawable.plainly_drawn:
        yield f"{PIPELINE}.py"
    if type(drawable.unet).__module__.startswith("fedphd."):
        yield f"unet/{NETWORKS}.py"


def _notes(about: Carded) -> Iterator[str]:
    drawable = about.drawable
    if drawable.rest is not None:
        yield (
            "The U-Net was pruned. So that plain diffusers can load it, its sinusoids of the time became a table with "
            f"a row for each of the {about.config.diffusion.timesteps} times; it predicts the same up to rounding. "
            "`fedphd.safetensors` has the trained tensors that this replaced."
        )
    if drawable.classes:
        yield (
            "`class_labels` are the classes' numbers, from 0, in the order below; without, it draws of no class. "
            "`guidance_scale` above 1 draws more typical images of a class."
        )
    if drawable.plainly_drawn and drawable.sampler.kind == "ddim":
        yield "Any scheduler of diffusers for the same betas can take the place of this one."


def _model(about: Carded) -> Iterator[tuple[str, object]]:
    drawable, config = about.drawable, about.config
    parameters, _ = count(drawable.unet)
    yield "network", f"`{type(drawable.unet).__name__}`, {parameters:,} parameters"
    yield "weights", "moving average over root rounds" if about.averaged else "latest aggregate"
    yield "root round", f"{about.state.round} of {config.rounds}"
    yield "predicts", "v" if config.diffusion.prediction == "v" else "the noise (epsilon)"
    yield "diffusion", f"{config.diffusion.timesteps} steps, betas {config.diffusion.beta_schedule}"
    yield "drawn with", f"{drawable.sampler.kind}, {drawable.sampler.steps} steps"
    if drawable.classes:
        yield "classes", ", ".join(_cell(name) for name in drawable.classes)
    if drawable.autoencoder is not None:
        yield "latents of", "an autoencoder of diffusers"


def _training(config: Config) -> Iterator[tuple[str, object]]:
    training, topology = config.training, config.topology
    edges = f"{topology.edges} edges, " if topology.edges else "no edges, "
    yield "method", f"`{config.method}`"
    yield from origin(config.model)
    yield "objective", f"`{config.objective.loss}`" + "".join(f" + {name}" for name in config.objective.terms)
    yield "pruning", config.pruning.kind
    yield "exchange", config.exchange.kind
    yield "topology", f"{edges}{topology.clients} clients, {topology.edge_rounds} edge rounds in each root round"
    yield "local training", f"{training.epochs} epochs of batches of {training.batch_size} in each edge round"
    yield "optimizer", f"{training.optimizer}, lr {training.lr:g}"
    yield "seed", config.seed


def _data(partition: Mapping[str, Any], holdout: float) -> str:
    clients = partition.get("clients", {})
    if not clients:
        return "The run has not told what its clients hold."
    totals = [float(np.sum(one["counts"])) for one in clients.values()]
    middle, least, most = (round(float(of(totals))) for of in (np.median, np.min, np.max))
    held_out = f", and held out {100 * holdout:g}% of their images" if holdout else ""
    return (
        f"By what the {len(clients)} clients told of their labels, they trained on {round(sum(totals)):,} images"
        f"{held_out}. Each trained on {least:,} to {most:,}, {middle:,} in the median."
    )


def _classes(partition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the images of each class, over all clients."""
    counts = [one["counts"] for one in partition.get("clients", {}).values()]
    if counts:
        for name, total in zip(partition.get("class_names", []), np.sum(counts, axis=0), strict=False):
            yield _cell(name), f"{round(float(total)):,}"


def _privacy(config: Config) -> str:
    epsilon = config.privacy.histogram_epsilon
    counts = (
        "Clients told their counts of labels as they are"
        if epsilon is None
        else f"Clients added Laplace noise of scale 1/{epsilon:g} to their counts of labels: the numbers are noisy"
    )
    return (
        f"{counts}. Besides, {told_of_images(config)}. Edges and root averaged the clients' updates as they came: "
        "nothing bounds what the weights tell of single training images (no differential privacy)."
    )


def _hops(config: Config, metrics: Metrics | None) -> Iterator[tuple[str, str, str]]:
    if metrics is None:
        return
    names = {"access": "between edges and clients", "backbone": "between root and edges"}
    if not config.topology.edges:
        names = {"access": "between root and clients"}
    for hop in HOPS:
        if hop in names:
            down, up = (size(metrics.crossed(hop, way, "bytes") or 0) for way in ("down", "up"))
            yield names[hop], down, up


def _measured(metrics: Mapping[int, Metrics], root_round: int) -> Metrics | None:
    """Find the newest measurement up to a round."""
    measured = [one for one in metrics.values() if one.round <= root_round and (one.quality or one.further)]
    return max(measured, key=lambda one: one.round, default=None)


def _quality(about: Carded, metrics: Mapping[int, Metrics]) -> str:
    measured = _measured(metrics, about.state.round)
    if measured is None:
        return "It was not measured."
    other = about.state.ema is not None and not about.averaged
    return (
        f"{_main(measured)}{'. This was measured with the moving average, not with these weights' if other else ''}."
        f"{COPIED if 'copied_share' in measured.further else ''}"
    )


def _main(measured: Metrics) -> str:
    if measured.quality is None:
        return f"No distance to real images was measured; below is what was found after root round {measured.round}"
    name, value = measured.quality
    text = f"`{name}` is {three_digits(value)} after root round {measured.round} (lower is better)"
    if measured.floor is not None:
        text += f"; as many real images score {three_digits(measured.floor)}, the floor"
    if measured.reference is not None:
        text += f"; all real images that are not the reference score {three_digits(measured.reference)}"
    return text


def _measures(measured: Metrics | None) -> list[tuple[str, str]]:
    return [] if measured is None else [(f"`{_cell(key)}`", f"{value:.4g}") for key, value in measured.further.items()]


def _cell(text: object) -> str:
    """Make a name safe in a table of Markdown."""
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")

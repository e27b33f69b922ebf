"""What clients said of the model by their own images: plots and tables."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from scipy.stats import median_abs_deviation

from fedphd.common.run.events import Assess, Compare, Event
from fedphd.common.run.figures import three_digits
from fedphd.common.training.time_bins import time_bins
from fedphd.launch.report import drawing
from fedphd.launch.report.curves import ROUNDS, SIZE
from fedphd.launch.report.drawing import Plot
from fedphd.launch.report.recorded_run import RecordedRun
from fedphd.launch.report.tables import Table

E = TypeVar("E", bound=Event)

FAR = 3.0  # deviations from the median, from which on a client stands out
FEWEST = 3  # clients among which one can stand out
HIGHER = 0.1  # share by which a loss is higher, from which on it is worth a remark


def latest_losses(run: RecordedRun) -> Mapping[str, Assess]:
    """Give what each client said in the newest evaluation."""
    return _latest(run.history.assessments)


def latest_comparisons(run: RecordedRun) -> Mapping[str, Compare]:
    """Give what each client said when it compared images last."""
    return _latest(run.history.comparisons)


def badly_served(losses: Mapping[str, float]) -> list[str]:
    """Name the clients whose loss is far above the median: by more than three deviations, and by a tenth (ours).

    The deviation is the median one, scaled to a normal distribution's (Leys et al. 2013): one client that is far off
    does not widen it.
    """
    values = list(losses.values())
    if len(values) < FEWEST:
        return []
    median, deviation = float(np.median(values)), float(median_abs_deviation(values, scale="normal"))
    limit = median + max(FAR * deviation, HIGHER * median)
    return [client for client, loss in losses.items() if loss > limit]


def loss_table(run: RecordedRun) -> Table | None:
    """List each client's loss on images that it held out, and on as many that it trains on."""
    told = latest_losses(run)
    if not told:
        return None
    bad = badly_served({client: float(np.mean(one.loss)) for client, one in told.items()})
    rows = [_loss_row(client, one, client in bad) for client, one in told.items()]
    head = ["client", "remark", "held-out images", "loss on them", "on training images", "higher by"]
    note = (
        "Mean over all diffusion times, from the same noise in all rounds. A client whose loss is more than three "
        "deviations above the median stands out: its images are harder, or others' count more. Held-out images with a "
        "loss much higher than that of training images mean overfitting."
    )
    number = next(iter(told.values())).round
    return Table(f"The model of round {number} at each client", head, rows, note, words=2)


def _loss_row(client: str, told: Assess, bad: bool) -> list[str]:
    loss, training = float(np.mean(told.loss)), float(np.mean(told.training_loss))
    gap = loss / training - 1 if training > 0 else 0.0
    remarks = [*(["badly served"] if bad else []), *(["overfitted"] if gap > HIGHER else [])]
    return [client, ", ".join(remarks), str(told.images), f"{loss:.4f}", f"{training:.4f}", f"{100 * gap:+.1f} %"]


def time_plot(run: RecordedRun) -> Plot | None:
    """Plot the loss of held-out and of training images against diffusion times."""
    told = latest_losses(run)
    if not told:
        return None
    held_out = np.array([one.loss for one in told.values()])
    training = np.array([one.training_loss for one in told.values()])
    times = _centres(run, held_out.shape[1])
    figure, axes = drawing.canvas(*SIZE, "diffusion time t", "loss")
    blue, orange = drawing.SERIES[:2]
    axes.fill_between(times, held_out.min(0), held_out.max(0), color=blue, alpha=0.2, linewidth=0)
    axes.plot(times, held_out.mean(0), "o-", color=blue, label="held-out images")
    axes.plot(times, training.mean(0), "o--", color=orange, label="training images")
    drawing.span_magnitudes(axes, [*held_out.ravel(), *training.ravel()])
    drawing.legend(axes)
    axes.grid(axis="y")
    points = ", ".join(
        f"{three_digits(loss)} at {time:.0f}" for time, loss in zip(times, held_out.mean(0), strict=True)
    )
    alt = f"Mean loss over clients on held-out images against diffusion time: {points}."
    note = "Mean over clients; the band reaches from the client with the lowest loss to the one with the highest."
    return Plot("Loss on the clients' own images", drawing.svg(figure, "own-time"), alt, note)


def rounds_plot(run: RecordedRun) -> Plot | None:
    """Plot the loss on held-out images against root rounds: the mean, and each client that was asked last."""
    by_round = run.history.assessments
    if len(by_round) < 2:
        return None
    figure, axes = drawing.canvas(*SIZE, ROUNDS, "loss on held-out images")
    for client in latest_losses(run):
        points = [(number, float(np.mean(told[client].loss))) for number, told in by_round.items() if client in told]
        axes.plot(*zip(*points, strict=True), color=drawing.MUTED, linewidth=0.8, alpha=0.6)
    means = {number: float(np.mean([one.loss for one in told.values()])) for number, told in by_round.items()}
    axes.plot(list(means), list(means.values()), "o-", color=drawing.SERIES[0], label="mean over clients")
    drawing.whole_numbers(axes)
    drawing.legend(axes)
    axes.grid(axis="y")
    first, last = next(iter(means)), next(reversed(means))
    alt = f"Loss on held-out images: {means[first]:.4f} in round {first}, {means[last]:.4f} in round {last}."
    return Plot("Loss on held-out images over the rounds", drawing.svg(figure, "own-rounds"), alt, "Grey: each client.")


def copies_table(run: RecordedRun) -> Table | None:
    """List what each client found when it compared generated images with its training images."""
    told = latest_comparisons(run)
    if not told:
        return None
    head = [
        "client",
        "verdict",
        "held-out images",
        "generated",
        "near (%)",
        "by chance (%)",
        "p",
        "copies",
        "authentic (%)",
    ]
    note = (
        "Near: nearer to a training image than 95 % of the client's held-out images are, or than the nearest of them "
        "where they are few, by distance and by its ratio to the 50 nearest (Carlini et al. 2023); by chance: how many "
        "would be, at most, if nothing was memorised; copies: at no more than half of that distance and ratio. "
        "Authentic (Alaa et al. 2022): not nearer to a training image than all other training images are; in brackets, "
        "of the held-out images. Cannot tell: held-out images are the same as training images, so that a copy is no "
        "sign."
    )
    rows = [_copies_row(client, one) for client, one in told.items()]
    number = next(iter(told.values())).round
    return Table(f"Are generated images of round {number} copies?", head, rows, note, words=2, wide=True)


def _copies_row(client: str, told: Compare) -> list[str]:
    count = len(told.nearest)
    authentic = f"{100 * told.authentic / count:.0f} ({100 * told.authentic_held_out:.0f})"
    shares = [f"{100 * told.near / count:.1f}", f"{100 * told.expected:.1f}", f"{told.p_value:.2g}"]
    verdict = "memorised" if told.flagged else "cannot tell" if told.blind else "no sign"
    return [client, verdict, str(len(told.held_out_nearest)), str(count), *shares, str(told.copies), authentic]


def distance_plot(run: RecordedRun) -> Plot | None:
    """Plot how far generated and held-out images are from the nearest training image, as cumulative shares."""
    told = latest_comparisons(run)
    if not told:
        return None
    figure, axes = drawing.canvas(*SIZE, "distance to the nearest training image", "share of images")
    sides = {
        "held-out images": [one.held_out_nearest for one in told.values()],
        "generated images": [one.nearest for one in told.values()],
    }
    words = []
    for (label, lists), colour in zip(sides.items(), drawing.SERIES, strict=False):
        distances = np.concatenate(lists)
        axes.ecdf(distances, color=colour, label=label)
        words.append(f"{label} {three_digits(float(np.median(distances)))}")
    axes.set_xlim(left=0)
    drawing.legend(axes)
    axes.grid(axis="y")
    note = "All clients together; each compared with its own training images. Copies lie far to the left."
    alt = f"Median distance to the nearest training image: {', '.join(words)}."
    return Plot("Distance to the nearest training image", drawing.svg(figure, "own-distances"), alt, note)


def nearest_picture(run: RecordedRun) -> Plot | None:
    """Show generated images beside the training images nearest to them, which are the root's own."""
    if run.nearest is None:
        return None
    alt = "Pairs of a generated image, on the left, and the training image nearest to it, on the right"
    picture = f'<img alt="{alt}" src="{drawing.data_uri(run.nearest)}">'
    note = "Pairs: left generated, right the nearest of all training images; the nearest pairs first."
    if run.history.comparisons:
        note = f"By the model of round {max(run.history.comparisons)}. {note}"
    return Plot("Generated images and their nearest training images", picture, alt, note)


def _centres(run: RecordedRun, bins: int) -> list[float]:
    """Give the middle of each bin of diffusion times."""
    found = [(times.start + times.stop - 1) / 2 for times in time_bins(int(run.setting("diffusion.timesteps", 1000)))]
    return found if len(found) == bins else [float(number) for number in range(bins)]


def _latest(by_round: Mapping[int, Mapping[str, E]]) -> Mapping[str, E]:
    return by_round[max(by_round)] if by_round else {}

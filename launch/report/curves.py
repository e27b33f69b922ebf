"""Plots of what changes over the rounds: quality, loss, bytes, edge weights."""

from collections.abc import Callable, Mapping

from matplotlib.axes import Axes

from fedphd.common.run.figures import WAYS, three_digits
from fedphd.common.run.metrics import Metrics
from fedphd.launch.report import drawing
from fedphd.launch.report.drawing import MUTED, Plot
from fedphd.launch.report.recorded_run import RecordedRun

SIZE = (5.4, 3.1)  # inches
ROUNDS = "root round"
MB = 1e6


def quality_name(key: str) -> str:
    """Say what a quality measure is."""
    return "FID" if key == "fid" else f"Fréchet distance ({key})"


def other_images(run: RecordedRun) -> str:
    """Say which real images the reference score is of: those of the split that is not the reference."""
    return images_beside(run.setting("evaluation.reference", "train"))


def images_beside(reference: str) -> str:
    """Say which real images are not those of the split `reference`."""
    return "real training images" if reference == "holdout" else "real held-out images"


def quality_plots(run: RecordedRun) -> list[Plot]:
    """Plot quality against root rounds and against communicated bytes."""
    if not run.evaluations:
        return []
    against: list[tuple[str, str, str, Callable[[Metrics], float]]] = [
        ("quality-rounds", "Quality against root rounds", ROUNDS, lambda line: line.round),
        ("quality-bytes", "Quality against communication", "payload of all hops (MB)", lambda line: line.payload / MB),
    ]
    return [_quality_plot(run, *one) for one in against]


def _quality_plot(run: RecordedRun, name: str, title: str, x_label: str, x_of: Callable[[Metrics], float]) -> Plot:
    measured = [line.quality or ("", 0.0) for line in run.evaluations]
    key = measured[0][0]
    x = [x_of(line) for line in run.evaluations]
    y = [value for _, value in measured]
    figure, axes = drawing.canvas(*SIZE, x_label, f"{quality_name(key)}, lower is better")
    whose = "mean over clients" if f"{key}_std" in run.evaluations[-1].measures else "global model"
    axes.plot(x, y, "o-", color=drawing.SERIES[0], label=whose)
    real = run.evaluations[-1].reference
    if real is not None:
        axes.axhline(real, color=drawing.SERIES[2], linestyle="--", linewidth=1.3, label=other_images(run))
    drawing.span_magnitudes(axes, [*y, *([] if real is None else [real])])
    _mark_prunings(axes, run, x_of)
    drawing.legend(axes)
    axes.grid(axis="y")
    points = ", ".join(
        f"{three_digits(value)} at {three_digits(at) if x_label != ROUNDS else at}"
        for at, value in zip(x, y, strict=True)
    )
    alt = f"{quality_name(key)} against {x_label}: {_shorten(points)}."
    alt += f" {other_images(run).capitalize()}: {three_digits(real)}." if real else ""
    return Plot(title, drawing.svg(figure, name), alt)


def loss_plot(run: RecordedRun) -> Plot | None:
    """Plot the clients' mean training loss against root rounds."""
    points = [(line.round, line.loss) for line in run.metrics if line.loss is not None]
    if not points:
        return None
    x, y = [number for number, _ in points], [loss for _, loss in points]
    figure, axes = drawing.canvas(*SIZE, ROUNDS, "noise prediction loss")
    axes.plot(x, y, "-" if len(x) > 1 else "o", color=drawing.SERIES[0])
    drawing.span_magnitudes(axes, y)
    drawing.whole_numbers(axes)
    _mark_prunings(axes, run, lambda line: line.round)
    axes.grid(axis="y")
    lowest = min(points, key=lambda point: point[1])
    alt = (
        f"Training loss against root rounds: {y[0]:.4f} in round {x[0]}, {y[-1]:.4f} in round {x[-1]}, "
        f"lowest {lowest[1]:.4f} in round {lowest[0]}."
    )
    note = "Mean over the round's client updates, weighted by images."
    return Plot("Training loss", drawing.svg(figure, "loss"), alt, note)


def bytes_plot(run: RecordedRun) -> Plot | None:
    """Plot the payload so far, by hop and direction, against root rounds."""
    if len(run.metrics) < 2:
        return None
    x = [line.round for line in run.metrics]
    figure, axes = drawing.canvas(*SIZE, ROUNDS, "payload so far (MB)")
    words = []
    for hop, colour in zip(run.hops, drawing.SERIES, strict=False):
        # The two ways are often alike: a thin line on a broad one shows both.
        for way, width, opacity in zip(WAYS, (5, 1.5), (0.4, 1), strict=True):
            y = [(line.crossed(hop, way, "bytes") or 0) / MB for line in run.metrics]
            axes.plot(x, y, color=colour, linewidth=width, alpha=opacity, label=f"{hop} {way}")
            words.append(f"{hop} {way} {three_digits(y[-1])} MB")
    axes.set_ylim(bottom=0)
    drawing.whole_numbers(axes)
    _mark_prunings(axes, run, lambda line: line.round)
    drawing.legend(axes)
    axes.grid(axis="y")
    alt = f"Payload after round {x[-1]}: {', '.join(words)}."
    return Plot("Bytes so far", drawing.svg(figure, "bytes"), alt, "Pruned messages are smaller: the slope changes.")


def edge_plots(run: RecordedRun) -> list[Plot]:
    """Plot each edge's weight W_e in the root's average, and its statistical homogeneity SH(q_e)."""
    if run.flat or not run.history.commits:
        return []
    commits = run.history.commits.items()
    weights = {number: commit.weights for number, commit in commits}
    homogeneity = {number: commit.homogeneity for number, commit in commits}
    share = "Share of each edge's model in the root's average."
    uniform = "2 is a uniform label distribution over the root round."
    return [
        _edge_plot(run, weights, "weights", "Root weights", "weight W_e", share),
        _edge_plot(run, homogeneity, "homogeneity", "Homogeneity of the edges", "SH(q_e)", uniform),
    ]


def _edge_plot(
    run: RecordedRun, by_round: Mapping[int, Mapping[str, float]], name: str, title: str, y_label: str, note: str
) -> Plot:
    figure, axes = drawing.canvas(*SIZE, ROUNDS, y_label)
    latest: dict[str, float] = {}
    for edge, colour in zip(run.edges, drawing.colours(len(run.edges)), strict=True):
        points = [(number, values[edge]) for number, values in by_round.items() if edge in values]
        if points:
            axes.plot(*zip(*points, strict=True), "o-" if len(points) < 25 else "-", color=colour, label=edge)
            latest[edge] = points[-1][1]
    drawing.whole_numbers(axes)
    if len(run.edges) <= 12:
        drawing.legend(axes)
    axes.grid(axis="y")
    words = ", ".join(f"{edge} {value:.3f}" for edge, value in latest.items())
    return Plot(title, drawing.svg(figure, name), f"{title} against root rounds; latest: {words}.", note)


def _mark_prunings(axes: Axes, run: RecordedRun, x_of: Callable[[Metrics], float]) -> None:
    """Mark where the U-Net was pruned: after the round that the event names."""
    by_round = run.history.metrics
    for number in run.history.prunings:
        if number not in by_round:
            continue
        x = x_of(by_round[number])
        axes.axvline(x, color=MUTED, linestyle=":", linewidth=1.2)
        axes.annotate(
            "pruned", (x, 1), xycoords=axes.get_xaxis_transform(), xytext=(4, -9), textcoords="offset points", size=8
        )


def _shorten(points: str, most: int = 24) -> str:
    parts = points.split(", ")
    return points if len(parts) <= most else ", ".join([*parts[: most // 2], "...", *parts[-most // 2 :]])

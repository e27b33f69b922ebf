"""Are images asked for by class what was asked for? The default run with `model.classes=labels`, beside one without.

Each client of the default run has two of the ten digits. An independent judge, a support vector machine that has seen
all real digits and nothing of a run, classifies 100 images of each class that the finished model draws, at several
strengths of guidance; beside it the Fréchet distance of these images by the run's own measure. The judge's own accuracy
on held-out digits, when it is fitted on the others, stands beside.

    python -m benchmarks.conditional                          # trains both, one after the other: about half an hour
    python -m benchmarks.conditional --runs CONDITIONAL [UNCONDITIONAL]  # of run folders that are there
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.svm import SVC

import fedphd
from fedphd.common.config import Config
from fedphd.common.data import load
from fedphd.common.data.images import Indices, Pixels
from fedphd.common.data.proportion import in_proportion
from fedphd.common.training.compute import pick_device
from fedphd.common.training.sampling import Sampler
from fedphd.server.evaluation import Evaluator

OF_EACH = 100
GUIDANCE = (1.0, 1.5, 2.0, 3.0, 5.0)
RUNS = Path("runs/conditional")
STREAM = ("benchmark", "conditional")


def flat(images: Pixels) -> np.ndarray:
    return images.reshape(len(images), -1) / 255


def judge(config: Config) -> tuple[SVC, float]:
    """Fit the judge on all real images; give how many held-out ones it gets right if it is fitted on the others."""
    train, held_out = (load(config.data, split, config.seed) for split in ("train", "holdout"))
    alone = SVC().fit(flat(train.images()), train.labels)
    images, labels = np.concatenate([train.images(), held_out.images()]), np.append(train.labels, held_out.labels)
    return SVC().fit(flat(images), labels), alone.score(flat(held_out.images()), held_out.labels)


def drawn(run: fedphd.Run, guidance: float) -> tuple[Pixels, Indices]:
    """Draw images of each class with a run's newest model."""
    sampler = run.config.sampler.model_copy(update={"guidance": guidance})
    config = run.config.model_copy(update={"sampler": sampler})
    classes = config.model.number_of_classes or 1
    labels = in_proportion([1] * classes, OF_EACH * classes)
    unet = fedphd.load_model(run.path)
    return Sampler.of(config, pick_device(config)).draw(unet, len(labels), stream=STREAM, labels=labels), labels


def quality(run: fedphd.Run) -> str:
    measured = [line for line in run.metrics if "fd_classifier" in line][-1]
    return f"round {measured['round']}: fd_classifier {measured['fd_classifier']:.2f}"


def distance(run: fedphd.Run, images: Pixels) -> float:
    """Give the Fréchet distance that the run itself would measure of these images after its last round."""
    return Evaluator(run.config, run.path).measure(run.config.rounds, images)["fd_classifier"]


def trained(*overrides: str, name: str) -> fedphd.Run:
    return fedphd.train(fedphd.compose(["runtime=inprocess", *overrides]), RUNS / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", type=Path, help="finished runs: with classes, and without")
    given = parser.parse_args().runs
    if given is None:
        runs = [trained("model.classes=labels", name="labels"), trained(name="plain")]
    else:
        runs = [fedphd.read_run(folder) for folder in given]
    for name, run in zip(("with classes", "without"), runs, strict=False):
        print(f"{name:13} {quality(run)}")
    known, alone = judge(runs[0].config)
    print(f"the judge knows {alone:.1%} of held-out digits; of {OF_EACH} images of each class that were asked for:")
    classes = range(runs[0].config.model.number_of_classes or 0)
    print("guidance   fd_classifier   all  " + "  ".join(f"{number:4}" for number in classes))
    for guidance in GUIDANCE:
        images, labels = drawn(runs[0], guidance)
        hits = known.predict(flat(images)) == labels
        each = "  ".join(f"{hits[labels == number].mean():4.0%}" for number in np.unique(labels))
        print(f"{guidance:8}  {distance(runs[0], images):14.2f}  {hits.mean():.1%} {each}", flush=True)


if __name__ == "__main__":
    main()

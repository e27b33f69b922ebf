"""``fedphd sample``: images that a trained model draws."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from math import inf
from pathlib import Path

from fedphd.launch.commands.command import Command

LARGEST_SEED = 2**63 - 1  # torch takes any below 2**64: the later images have seeds above the first one's


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("model", type=Path, metavar="RUN_OR_EXPORT", help="a run's folder, or an export's, or its id on the hub")
    add("--n", type=_at_least(1), default=64, metavar="N", help="images (64)")
    add("--out", required=True, metavar="GRID.png|FOLDER/", help="one picture with all, or a folder with one file each")
    add("--class", dest="classes", metavar="CLASS", help="name or number, several with commas, or all, in turn")
    add("--guidance", type=float, metavar="W", help="towards the class; 1: none; by default the run's")
    add("--steps", type=_at_least(1), metavar="N", help="from noise to images; by default the run's")
    add("--sampler", choices=("ddim", "ddpm", "dpm_solver"), help="by default the run's")
    add(
        "--seed",
        type=_at_least(0, LARGEST_SEED),
        default=0,
        metavar="N",
        help="of the first image, the next has the next (0)",
    )
    add("--batch", type=_at_least(1), default=64, metavar="N", help="images that are drawn at once (64)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="by default a GPU where there is one")
    add("--raw", action="store_true", help="of a run: the latest aggregate, and not the moving average")
    add("--round", type=int, metavar="N", help="of a run: a root round whose checkpoint is there")


def _at_least(least: int, most: float = inf) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise ArgumentTypeError(f"{value} must be at least {least}")
        if value > most:
            raise ArgumentTypeError(f"{value} must be at most {most}")
        return value

    return number


def _run(given: Namespace) -> None:
    from fedphd.launch.sample import print_sample

    print_sample(given)


COMMAND = Command("sample", "Draw images with a run's model or an export's.", _run, _add_arguments)

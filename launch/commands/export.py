"""``fedphd export``: a run's model, to take away."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from fedphd.launch.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="the run's folder; the run may go on meanwhile")
    add("out", type=Path, metavar="OUT", help="takes the model, as a pipeline's folder of diffusers; a new folder")
    add("--raw", action="store_true", help="the latest aggregate, and not the moving average")
    add("--round", type=int, metavar="N", help="of a root round whose checkpoint is there; by default the newest")
    add("--license", metavar="TEXT", help="what the model card states, e.g. apache-2.0; by default: not stated")
    add("--push-to-hub", metavar="OWNER/NAME", help="then upload it to the Hugging Face hub; a new one is private")
    add("--onnx", action="store_true", help="also write the U-Net's step as onnx/unet.onnx, and check it")
    add("--include-autoencoder", action="store_true", help="of a model that draws latents; else it is referred to")


def _run(given: Namespace) -> None:
    from fedphd.launch.export import print_export

    print_export(given)


COMMAND = Command(
    "export", "Write a run's model as a folder that diffusers loads, with a model card.", _run, _add_arguments
)

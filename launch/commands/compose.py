"""``fedphd compose``: the Docker Compose file of a topology."""

from argparse import ArgumentParser, Namespace

from fedphd.launch.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--gpu", action="store_true", help="print the override file for clients with GPUs instead")


def _run(given: Namespace) -> None:
    from fedphd.launch.composing import compose
    from fedphd.launch.deploy.compose import render

    print(render(compose(given.overrides), gpu=given.gpu), end="")


COMMAND = Command("compose", "Print the Docker Compose file of a topology.", _run, _add_arguments, True)

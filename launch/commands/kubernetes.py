"""``fedphd kubernetes``: the Kubernetes manifests of a topology."""

from argparse import ArgumentParser, Namespace

from fedphd.launch.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--gpu", action="store_true", help="give each client a GPU")


def _run(given: Namespace) -> None:
    from fedphd.launch.composing import compose
    from fedphd.launch.deploy.kubernetes import render

    print(render(compose(given.overrides), gpu=given.gpu), end="")


COMMAND = Command("kubernetes", "Print the Kubernetes manifests of a topology.", _run, _add_arguments, True)

"""``fedphd cost``: what a configuration will communicate."""

from argparse import ArgumentParser, Namespace

from fedphd.launch.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _run(given: Namespace) -> None:
    from fedphd.launch.classes import with_classes
    from fedphd.launch.composing import compose
    from fedphd.launch.cost import print_cost

    print_cost(with_classes(compose(given.overrides)), as_json=given.json)


COMMAND = Command("cost", "Say what a configuration will communicate; nothing is trained.", _run, _add_arguments, True)

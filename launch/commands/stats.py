"""``fedphd stats``: statistics of the real images, made ahead of a run."""

from argparse import ArgumentParser, Namespace

from fedphd.launch.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _run(given: Namespace) -> None:
    from fedphd.launch.composing import compose
    from fedphd.launch.stats import print_stats

    print_stats(compose(given.overrides), as_json=given.json)


SUMMARY = "Make the statistics of real images that runs measure with; nothing is trained."
COMMAND = Command("stats", SUMMARY, _run, _add_arguments, True)

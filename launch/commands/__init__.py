"""The commands besides training: one file for each, and one line here."""

from fedphd.launch.commands import compare, compose, cost, export, keys, kubernetes, register, sample, stats, status

COMMANDS = {
    command.name: command
    for command in (
        cost.COMMAND,
        stats.COMMAND,
        status.COMMAND,
        compare.COMMAND,
        export.COMMAND,
        sample.COMMAND,
        keys.COMMAND,
        register.COMMAND,
        compose.COMMAND,
        kubernetes.COMMAND,
    )
}

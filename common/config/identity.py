"""Which settings make a run that run."""

from fedphd.common.config.schema import Config

# Of no account for what is trained: outlets, machines, and how long and for how many a round waits.
FREE = (
    "checkpoint.",
    "evaluation.",
    "resources.",
    "runtime.",
    "topology.quorum",
    "topology.rejoin_timeout",
    "topology.round_timeout",
    "tracking.",
)


def decides(key: str, config: Config) -> bool:
    """Say whether a run with another value of a setting is another run.

    More rounds change nothing in those that are over, unless the learning rate falls over all of them.

    Parameters
    ----------
    key : str
        The setting's dotted name.
    config : Config
        Of the run.
    """
    if key == "rounds":
        return config.training.schedule != "constant"
    return not key.startswith(FREE)

"""How many members must give a sound update for a round to count."""

from math import ceil

from fedphd.common.errors import FedPhDError


class QuorumError(FedPhDError):
    """Too few members gave a sound update for a round to count."""


def check_quorum(round_name: str, members: str, accepted: int, asked: int, quorum: float) -> None:
    """Check that enough members gave a sound update.

    Parameters
    ----------
    round_name, members : str
        For the error, e.g. "edge-0: edge round 7" and "clients".
    accepted, asked : int
        Members that gave a sound update, and members that were asked.
    quorum : float
        `topology.quorum`: the share that is needed.

    Raises
    ------
    QuorumError
        If fewer than quorum * asked did, rounded up.
    """
    needed = ceil(round(quorum * asked, 9))  # 0.28 of 25 are 7, not 7.000000000000001
    if accepted < needed:
        found = f"{accepted} of {asked} {members} gave a sound update"
        raise QuorumError(f"{round_name}: {found}; topology.quorum={quorum:g} needs {needed}")

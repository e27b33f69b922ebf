"""What an exchange says of itself."""

from collections.abc import Sequence
from typing import ClassVar

from fedphd.common.choices import Choice, Choices
from fedphd.common.wire.parts import PARTS, Parts


class Exchange(Choice):
    """Which parts travel, and who reports them.

    Attributes
    ----------
    shared : tuple[str, ...]
        The parts that travel after the first contact.
    apart : bool
        Whether different clients report different parts, so that each part has an average of its own.
    """

    shared: ClassVar[Parts] = PARTS
    apart: ClassVar[bool] = False

    @property
    def keeps_parts(self) -> bool:
        """Whether each client keeps parts of its own, so that there is no global model."""
        return self.shared != PARTS

    @property
    def averages(self) -> list[Parts]:
        """The groups of parts that are averaged together."""
        return [(part,) for part in self.shared] if self.apart else [self.shared]

    def reports(self, clients: Sequence[str], seed: int, edge: str, edge_round: int) -> dict[str, Parts]:  # noqa: ARG002
        """Say which parts each client of an edge round reports; by default all that travel.

        Parameters
        ----------
        clients : Sequence[str]
            The clients that train at this edge in this edge round.
        seed, edge, edge_round : int, str, int
            Name the random stream.
        """
        return dict.fromkeys(clients, self.shared)


EXCHANGES = Choices("exchange", Exchange)

"""Who has what of a sender's models: all that decides what a message down must hold, and no numbers."""

from fedphd.common.network.structure import Structure
from fedphd.common.wire.parts import PARTS, Parts


class Contacts:
    """What one sender knows of its receivers.

    A receiver gets the whole network at the first contact, and then what the exchange shares; and it gets a change only
    if it has the very model that the change counts from.

    Parameters
    ----------
    shared : tuple[str, ...]
        The parts that travel after the first contact.
    """

    def __init__(self, shared: Parts) -> None:
        self.shared = shared
        self._holds: dict[str, int] = {}  # the round whose model each receiver has
        self._structure: Structure | None = None
        self._round = 0
        self._reference: int | None = None

    def begin(self, structure: Structure, round: int, reference: int | None = None) -> None:
        """Begin a round.

        Parameters
        ----------
        structure : Structure
            The whole network's. A new one is a first contact with everybody.
        round : int
            Names what is sent; one that is no later than the one before it is a first contact with everybody too.
        reference : int or None
            The round whose model changes count from; None if none are sent.
        """
        if structure != self._structure or round <= self._round:  # gone back: what receivers have is of rounds to come
            self._holds.clear()
        self._structure, self._round, self._reference = structure, round, reference

    def wanted(self, receiver: str) -> tuple[Parts, bool]:
        """Say which parts a receiver needs, and whether a change does."""
        if receiver not in self._holds:
            return PARTS, False
        return self.shared, self._reference is not None and self._holds[receiver] == self._reference

    def holds(self, receiver: str) -> bool:
        """Whether a receiver had its first contact, and so its own parts."""
        return receiver in self._holds

    def confirm(self, receiver: str) -> None:
        """Note that a receiver has the present round's model."""
        self._holds[receiver] = self._round

    def forget(self, receiver: str) -> None:
        """Note that a receiver may have lost what it had: it gets the whole network the next time."""
        self._holds.pop(receiver, None)

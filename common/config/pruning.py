"""When and how much the U-Net is pruned (`conf/pruning/`); what a channel is worth is in common/network/pruning.py."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveInt

from fedphd.common.choices import Choice, Choices
from fedphd.common.config.types import Ratio
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from fedphd.common.config.schema import Config


class PruningConfig(Choice):
    """When the global U-Net is pruned: FedPhD's modes, or a user's own.

    Attributes
    ----------
    sparse : bool
        Whether the rounds before the pruning train with the terms that count in sparse rounds only.
    """

    sparse: ClassVar[bool] = False

    @property
    def after(self) -> int | None:
        """Root rounds before the pruning; None if there is none."""
        return None

    @property
    def share(self) -> float:
        """Share of channels to remove; 0 if nothing is pruned."""
        return 0.0

    def warmup_start(self, _root_round: int) -> int:
        """Say after how many root rounds the learning rate's warm-up began that holds in a root round (from 1)."""
        return 0

    def phase(self, root_round: int) -> str:
        """Name the phase that a root round (from 1) belongs to: "dense", "sparse" or "pruned"."""
        if self.after is None:
            return "dense"
        return "sparse" if root_round <= self.after else "pruned"


PRUNINGS = Choices("pruning", PruningConfig)


@PRUNINGS.register("none")
class NoPruning(PruningConfig):
    """The U-Net is never pruned."""


class Pruned(PruningConfig):
    """The U-Net is pruned once."""

    ratio: Ratio

    @property
    def share(self) -> float:
        """Share of channels to remove."""
        return self.ratio

    def check(self, _config: "Config") -> None:
        """Check that something is pruned."""
        if self.ratio == 0:
            advice = "prunes nothing; use a ratio above 0 and below 1, or pruning=none"
            raise SettingError("pruning.ratio", self.ratio, advice)


@PRUNINGS.register("at_start")
class AtStart(Pruned):
    """The untrained U-Net is pruned (FedPhD's one-shot mode, `--train_scratch` of the authors' code)."""

    @property
    def after(self) -> int:
        """No round."""
        return 0


@PRUNINGS.register("sparse_then_prune")
class SparseThenPrune(Pruned):
    """Some root rounds with the terms that count in sparse rounds only, then the pruning (FedPhD)."""

    sparse: ClassVar[bool] = True
    sparse_rounds: PositiveInt
    restart_warmup: bool

    @property
    def after(self) -> int:
        """The sparse rounds."""
        return self.sparse_rounds

    def warmup_start(self, root_round: int) -> int:
        """With `restart_warmup`, warm-up begins anew after the pruning, as the authors' code makes a new trainer."""
        return self.after if self.restart_warmup and root_round > self.after else 0

    def check(self, config: "Config") -> None:
        """Check that something is pruned, and that the run is long enough for it."""
        super().check(config)
        if self.sparse_rounds > config.rounds:
            advice = f"is later than the last round, so nothing would be pruned; use at most rounds={config.rounds}"
            raise SettingError("pruning.sparse_rounds", self.sparse_rounds, advice)


def fill_sparse_rounds(tree: object) -> object:
    """Replace ``pruning.sparse_rounds: null`` by a fifth of the rounds, so that every process reads a number."""
    if not isinstance(tree, Mapping):
        return tree
    pruning, rounds = tree.get("pruning"), tree.get("rounds")
    if not isinstance(pruning, Mapping):
        return tree
    if pruning.get("kind") != "sparse_then_prune" or pruning.get("sparse_rounds") is not None:
        return tree
    fifth = max(1, rounds // 5) if isinstance(rounds, int) else 1  # of what is no number, `rounds` is refused
    return {**tree, "pruning": {**pruning, "sparse_rounds": fifth}}

"""When the global U-Net is pruned, and the pruning itself."""

from fedphd.common.config import Config
from fedphd.common.network import UNet
from fedphd.common.network.adapted import AdaptedUNet
from fedphd.common.network.counting import count
from fedphd.common.network.lineage import Lineage
from fedphd.common.network.packing import PackedModel, pack, unpack
from fedphd.common.network.pruning import Pruning, prune, prune_like
from fedphd.common.network.rebuild import rebuild_unet
from fedphd.common.run.events import Prune
from fedphd.common.run.ledger import Ledger
from fedphd.server.state import GlobalState


class PruningSchedule:
    """FedPhD's two modes: prune at the start, or train sparsely for some rounds and prune once.

    Parameters
    ----------
    config : Config
        `pruning` says when and how much, `model` what the dense U-Net is.
    ledger : Ledger
        Where a pruning is written.
    """

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self.config = config
        self.ledger = ledger

    @property
    def pruned_after(self) -> int | None:
        """Root rounds before the pruning; None if there is none."""
        return self.config.pruning.after

    def phase(self, root_round: int) -> str:
        """Name the phase that a root round (from 1) belongs to: "dense", "sparse" or "pruned"."""
        return self.config.pruning.phase(root_round)

    def apply(self, state: GlobalState) -> None:
        """Prune the global model, and its average alike, if this is the moment: after round `pruned_after`.

        Raises
        ------
        SettingError
            If the ratio removes nothing, or more than the U-Net can lose.
        """
        if state.round != self.pruned_after:
            return
        before = load_unet(self.config, state.model)
        after, pruning = prune(before, self.config.pruning.share)
        if state.round > 0:  # somebody may keep what belongs to the wider network
            state.lineage = Lineage(pruning)
        if state.control is not None:
            state.control = self._pruned_like(state.control, pruning)
        if state.ema is not None:
            state.ema = pack(prune_like(load_unet(self.config, state.ema), pruning).state_dict())
        old, state.model = state.model, pack(after.state_dict())
        parameters, macs = zip(count(before), count(after), strict=True)
        self.ledger.write(
            Prune(
                round=state.round,
                ratio=self.config.pruning.share,
                parameters_before=parameters[0],
                parameters_after=parameters[1],
                macs_before=macs[0],
                macs_after=macs[1],
                structure_before=old.structure.id,
                structure_after=state.model.structure.id,
            )
        )

    def _pruned_like(self, some: PackedModel, pruning: Pruning) -> PackedModel:
        """Prune some tensors of the network like the network."""
        return pack(Lineage(pruning).prune(unpack(some), pruning.structure, self.config.model))


def load_unet(config: Config, model: PackedModel) -> UNet:
    """Build the U-Net that a packed model describes, with its weights; or with its adapters, where only these travel.

    Raises
    ------
    SettingError
        If adapters need the weights of `model.init`, and these are not here.
    """
    unet = rebuild_unet(config.model, model.structure)
    unet.load_state_dict(unpack(model))
    return unet


def merged(config: Config, model: PackedModel) -> UNet:
    """Build the U-Net as `load_unet`, with its adapters, if it has any, added into the weights beside them."""
    unet = load_unet(config, model)
    return unet.merged() if isinstance(unet, AdaptedUNet) else unet

"""What a client keeps from round to round on its own disk, and makes of what it receives.

=============  ==========================================================================================
kept           where the method needs it
=============  ==========================================================================================
``own``        the parts of the network that never travel (`exchange=ulatdec`, `udec`)
``received``   what each edge sent, for changes that count from it (`codec.access.down.of=change`)
``residual``   what rounding took away from the last message (`codec.access.up.error_feedback`)
``previous``   the client's last local model (terms of the objective with `keeps_previous`; where there is no global
               model, `evaluation.clients=trained`)
``control``    c_k (`objective.control_variates`)
=============  ==========================================================================================

After a pruning, what belongs to the wider network loses the same channels.
"""

import logging
from pathlib import Path

from fedphd.common.config import Config
from fedphd.common.keeping.kept_models import Network, keep_model, kept_model, newest_model
from fedphd.common.keeping.missing import MissingStateError
from fedphd.common.keeping.state_store import StateStore, restarts
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.rebuild import check_size
from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec.coded import CodedModel, code
from fedphd.common.wire.links import standalone, upload
from fedphd.common.wire.messages import ClientErrand, TrainOrder
from fedphd.common.wire.parts import PARTS, Parts, restrict

log = logging.getLogger(__name__)


class Keeper:
    """What one client keeps, as one order needs it.

    Parameters
    ----------
    folder : Path
        The client's own.
    config : Config
        The run's configuration.
    order : TrainOrder or ClientErrand
        Says what came, from whom, in which round, and how the network came to its structure.
    """

    def __init__(self, folder: Path, config: Config, order: TrainOrder | ClientErrand) -> None:
        self.folder = folder
        self.config = config
        self.download = order.download
        self.edge = order.edge
        self.edge_round = order.edge_round
        self.counted = order.counted if isinstance(order, TrainOrder) else 0
        self.lineage = order.lineage
        self.starts = [(r - 1) * config.topology.edge_rounds for r in restarts(config.checkpoint, order.root_round)]
        self._decoded: PackedModel | None = None

    @property
    def structure(self) -> Structure:
        """The whole network's."""
        return self.download.structure

    # --- down ---

    def receive(self) -> PackedModel:
        """Make the whole network of what came and of the client's own parts.

        Raises
        ------
        MissingStateError
            If the client does not have its own parts, or the model that a change counts from.
        StructureError
            If the network is larger than the configured one.
        CodecError
            If what came cannot be decoded.
        """
        check_size(self.structure, self.config.model)
        decoded = self._decoded = self.download.model.decode(self._base())
        personal = self._personal
        if not personal:
            return decoded
        own = self.restore("own", restrict(self.structure, personal))
        if self.download.whole:
            return decoded if own is None else decoded.overlay(own)
        if own is None:
            raise MissingStateError(f"no {' and '.join(personal)} of this client's own for {self.structure.id}")
        return PackedModel.zeros(self.structure).overlay(decoded).overlay(own)

    @property
    def received(self) -> PackedModel:
        """What came of the parts that travel."""
        assert self._decoded is not None  # after `receive`
        return self._decoded.select(restrict(self.structure, self.download.shared))

    @property
    def _personal(self) -> Parts:
        return tuple(part for part in PARTS if part not in self.download.shared)

    def _base(self) -> PackedModel | None:
        if self.download.base is None:
            return None
        for state in self._store(f"received/{self.edge}", self.edge).restore(self.edge_round):
            if state.round == self.download.base:
                return kept_model(state, self.download.model.structure)
        raise MissingStateError(
            f"no model of {self.edge}'s edge round {self.download.base}, from which the change counts"
        )

    # --- up ---

    def report(self, trained: PackedModel, reports: Parts, seed: int | None = None) -> CodedModel:
        """Code what is to be reported, rounded from `seed`, and keep what the next rounds need."""
        codec = self.config.codec.access
        shared = restrict(self.structure, self.download.shared)
        model = trained.select(restrict(self.structure, reports))
        residual = self.restore("residual", shared) if codec.up.error_feedback else None
        coded, rest = upload(
            model, self.received, codec.up, None if residual is None else residual.select(model.structure), seed
        )
        if rest is not None:
            self.keep("residual", (PackedModel.zeros(shared) if residual is None else residual).overlay(rest))
        if self._personal:
            self.keep("own", trained.select(restrict(self.structure, self._personal)))
        if codec.down.of == "change":
            self._save(f"received/{self.edge}", self.edge, self.received)
        if self.config.keeps_previous:
            self.keep("previous", trained)
        return coded

    # --- what is measured ---

    def to_draw_with(self) -> tuple[PackedModel, bool]:
        """Give the model that `evaluation.clients` asks for, and say whether it is as the client last trained it.

        A client that has not trained, or did not keep what it trained, has only what came. Raises as `receive`.
        """
        came = self.receive()
        trained = self.restore("previous", self.structure) if self.config.evaluation.clients == "trained" else None
        return (came, False) if trained is None else (trained, True)

    def to_assess(self) -> PackedModel:
        """Give the model that is measured: what came, or with parts of the client's own, as `to_draw_with`."""
        return self.to_draw_with()[0] if self._personal else self.receive()

    # --- control variates ---

    def control(self, structure: Structure) -> PackedModel:
        """c_k as c counts it; zeros at first. All edge rounds of a root round start from the same one.

        A change that was reported later was lost on its way. It counts as never made, as its model does, so that c
        stays the mean of the c_k (ours; the paper loses nothing). Only c_k after the counted round will do: where it
        is lost or damaged, c_k is 0, and what c has of it stays in c, since nobody else knows it.
        """
        if not self.counted:
            return PackedModel.zeros(structure)
        store = StateStore(self.folder / "control", [self.counted])
        found = newest_model(store, self.counted, structure, self._network, since=self.counted - 1)
        if found is None:
            log.warning(
                "the control variates of after edge round %d are lost or damaged; c_k is 0 from now on, and since c "
                "keeps what it had of them, it is no longer the mean of the c_k",
                self.counted - 1,
            )
        return found or PackedModel.zeros(structure)

    def report_control(self, c_k: PackedModel, new: PackedModel, reports: Parts) -> CodedModel:
        """Code the change of c_k, of the reported parts, and keep c_k as whoever decodes the change knows it."""
        self._store("control", "").drop(self.counted, self.starts[-1])
        reported = restrict(self.structure, reports)
        before = c_k.select(reported).vector
        change = PackedModel(reported, new.select(reported).vector - before)
        coded = code(change, standalone(self.config.codec.access.up))
        self._save("control", "", c_k.overlay(PackedModel(reported, before + coded.decode().vector)))
        return coded

    # --- states ---

    def restore(self, kind: str, structure: Structure) -> PackedModel | None:
        """Give the newest state that this round may start from, pruned like the network; None if there is none."""
        store = self._store(kind, self.edge)
        return newest_model(store, self.edge_round, structure, self._network)

    @property
    def _network(self) -> Network:
        return Network(self.structure.id, self.config.model, self.lineage)

    def keep(self, kind: str, model: PackedModel) -> None:
        """Write the state after this round."""
        self._save(kind, self.edge, model)

    def _save(self, kind: str, source: str, model: PackedModel) -> None:
        keep_model(self._store(kind, source), self.edge_round, model, self.structure.id)

    def _store(self, kind: str, source: str) -> StateStore:
        return StateStore(self.folder / kind, self.starts, source)

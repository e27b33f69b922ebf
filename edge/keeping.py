"""What an edge keeps from round to round on its own disk, and makes of what it receives.

=============  =========================================================================================
kept           where it is needed
=============  =========================================================================================
``received``   what the root sent last: the parts that never travel, and what changes count from
``reference``  what the clients were sent last (`codec.access.down.of=change`)
``residual``   what rounding took away from the last message up (`codec.backbone.up.error_feedback`)
=============  =========================================================================================
"""

from collections.abc import Sequence
from pathlib import Path

from fedphd.common.config import Config
from fedphd.common.keeping.kept_models import Network, keep_model, kept_model, newest_model
from fedphd.common.keeping.missing import MissingStateError
from fedphd.common.keeping.state_store import State, StateStore, restarts
from fedphd.common.network.lineage import NO_PRUNING, Lineage
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.rebuild import check_size
from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.links import Download, Reference, rounding_seed, upload
from fedphd.common.wire.parts import PARTS, restrict


class EdgeKeeper:
    """What one edge keeps, for one root round.

    Parameters
    ----------
    folder : Path
        The edge's own.
    config : Config
        The run's configuration.
    edge : str
        The edge's id.
    root_round : int
        The present root round, from 1.
    lineage : Lineage
        As in `RoundOrder`.
    """

    def __init__(self, folder: Path, config: Config, edge: str, root_round: int, lineage: Lineage = NO_PRUNING) -> None:
        self.folder = folder
        self.config = config
        self.edge = edge
        self.root_round = root_round
        self.lineage = lineage
        self._root_rounds = restarts(config.checkpoint, root_round)

    def receive(self, download: Download, keep: bool = True) -> PackedModel:
        """Make the whole network of what came and of what is here, and keep it if later messages may build on it.

        Raises
        ------
        MissingStateError
            If the edge does not have what the message builds on.
        StructureError
            If the network is larger than the configured one.
        CodecError
            If what came cannot be decoded.
        """
        check_size(download.structure, self.config.model)
        before = None if download.whole and not download.model.change else self._before(download)
        base = before.select(download.model.structure) if before is not None and download.model.change else None
        decoded = download.model.decode(base)
        model = decoded if before is None else before.overlay(decoded)
        if keep and (download.shared != PARTS or self.config.backbone.down.of == "change"):
            keep_model(self._store("received", self._root_rounds), self.root_round, model, model.structure.id)
        return model

    def report(self, model: PackedModel, received: PackedModel) -> CodedModel:
        """Code the edge's model for the root, of the parts that travel, and keep what rounding took away.

        Parameters
        ----------
        model, received : PackedModel
            The whole networks that the edge has, and that the root sent.
        """
        codec, whole = self.config.backbone.up, model.structure
        shared = restrict(whole, self.config.exchange.shared)
        store, now = self._store("residual", self._root_rounds), self.root_round
        residual = None
        if codec.error_feedback:
            residual = newest_model(store, now, shared, Network(whole.id, self.config.model, self.lineage))
        seed = rounding_seed(self.config.seed, "up", self.edge, now)
        coded, rest = upload(model.select(shared), received.select(shared), codec, residual, seed)
        if rest is not None:
            keep_model(store, now, rest, whole.id)
        return coded

    def reference(self, edge_round: int, structure: Structure) -> Reference | None:
        """Give what the clients were sent before an edge round; None if it was of another structure."""
        if self.config.codec.access.down.of == "weights":
            return None
        found = self._newest("reference", self._edge_rounds, edge_round, structure)
        return None if found is None else Reference(found.round, kept_model(found, structure))

    def keep_reference(self, edge_round: int, sent: PackedModel) -> None:
        """Keep what the clients were sent in an edge round, where the next one's changes count from it."""
        if self.config.codec.access.down.of == "change":
            keep_model(self._store("reference", self._edge_rounds), edge_round, sent, sent.structure.id)

    @property
    def _edge_rounds(self) -> list[int]:
        return [(root_round - 1) * self.config.topology.edge_rounds for root_round in self._root_rounds]

    def _before(self, download: Download) -> PackedModel:
        """Find the whole model of which parts, or a change, came."""
        for state in self._store("received", self._root_rounds).restore(self.root_round):
            if download.base in (None, state.round) and state.structure == download.structure.id:
                return kept_model(state, download.structure)
        what = "" if download.base is None else f" of root round {download.base}"
        raise MissingStateError(f"{self.edge} has no model{what} of structure {download.structure.id}")

    def _newest(self, kind: str, starts: Sequence[int], round: int, structure: Structure) -> State | None:
        state = next(self._store(kind, starts).restore(round), None)
        return state if state is not None and state.structure == structure.id else None

    def _store(self, kind: str, starts: Sequence[int]) -> StateStore:
        return StateStore(self.folder / kind, starts, self.edge)

"""A client's part in one edge round: from what its edge sent to what it reports."""

import copy

from fedphd.client.control_variates import ControlVariates
from fedphd.client.histogram import reported_counts
from fedphd.client.keeping import Keeper
from fedphd.client.latents import training_set
from fedphd.client.network import network
from fedphd.client.objective import Compared, Objective, Term, terms_of
from fedphd.client.optimizer_store import OptimizerStore
from fedphd.client.place import Place
from fedphd.client.training import train
from fedphd.common.averaging.homogeneity import told_samples
from fedphd.common.network import UNet
from fedphd.common.network.packing import PackedModel, pack, unpack
from fedphd.common.training.compute import pick_device
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import find_distance
from fedphd.common.training.fit import TrainingResult
from fedphd.common.training.seeding import derive_seed
from fedphd.common.training.session import Session
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.links import rounding_seed
from fedphd.common.wire.messages import ClientUpdate, TrainOrder


class EdgeRound:
    """One client's part in one edge round.

    Parameters
    ----------
    place : Place
        Where the client is.
    order : TrainOrder
        What its edge asks for.
    keeper : Keeper
        What it keeps from round to round.
    """

    def __init__(self, place: Place, order: TrainOrder, keeper: Keeper) -> None:
        self.place = place
        self.config = place.config
        self.order = order
        self.keeper = keeper
        self.device = pick_device(place.config)

    def run(self) -> ClientUpdate:
        """Train what came, keep what the next rounds need, and report what is asked for."""
        received = self.keeper.receive()
        objective = self._objective(received)
        unet = network(self.config.model, received)
        c_k = self.keeper.control(self.keeper.received.structure) if self.config.objective.control_variates else None
        control = None if c_k is None else self._control(unet, c_k)
        result = self._train(unet, objective, control)
        return ClientUpdate(
            model=self.keeper.report(pack(unet.state_dict()), self.order.reports, self._rounding_seed()),
            client=self.place.name,
            edge_round=self.order.edge_round,
            samples=told_samples(reported_counts(self.config, self.place.index, self.place.folder)),
            loss=result.loss,
            seconds=result.seconds,
            control=self._control_change(control, c_k),
        )

    def _train(self, unet: UNet, objective: Objective, control: ControlVariates | None) -> TrainingResult:
        store = self._optimizer_store()
        with self.place.training():
            images = training_set(self.place, self.device)
            return train(unet, images, objective, self._session(), store=store, control=control)

    def _session(self) -> Session:
        config, edge_round = self.config, self.order.edge_round
        seed = derive_seed(config.seed, "train", self.place.index, edge_round)
        warmup_start = config.pruning.warmup_start(self.order.root_round) * config.topology.edge_rounds
        return Session(config.training, self.device, seed, edge_round, config.edge_rounds, warmup_start)

    def _rounding_seed(self) -> int:
        return rounding_seed(self.config.seed, "up", self.place.name, self.order.edge_round)

    def _optimizer_store(self) -> OptimizerStore | None:
        """Keep this client's optimizer for as long as a resend or a resumed root can ask for it."""
        if not self.config.training.keep_optimizer:
            return None
        return OptimizerStore(self.place.folder, self.keeper.structure.id, self.keeper.starts)

    # --- objective ---

    def _objective(self, received: PackedModel) -> Objective:
        terms = self._terms()
        previous = None
        if any(term.keeps_previous for term in terms.values()):
            previous = self.keeper.restore("previous", self.keeper.structure)
        needs_received = any(term.needs_received for term in terms.values())
        compared = Compared(
            received=self._copy(received) if needs_received else None,
            previous=None if previous is None else self._copy(previous),
            shared=self.order.download.shared,
        )
        distance = find_distance(self.config.objective.loss)
        return Objective(distance, Diffusion(self.config.diffusion), terms, compared)

    def _terms(self) -> dict[str, Term]:
        terms = terms_of(self.config.objective)
        return {name: term for name, term in terms.items() if self.order.sparse or not term.in_sparse_rounds_only}

    def _copy(self, model: PackedModel) -> UNet:
        return copy.deepcopy(network(self.config.model, model))

    # --- control variates ---

    def _control(self, unet: UNet, c_k: PackedModel) -> ControlVariates:
        """Make the control variates that correct this U-Net's gradients (SCAFFOLD)."""
        c = PackedModel.zeros(c_k.structure) if self.order.control is None else self.order.control.decode()
        return ControlVariates(unet, unpack(c), unpack(c_k))

    def _control_change(self, control: ControlVariates | None, c_k: PackedModel | None) -> CodedModel | None:
        if control is None or c_k is None or not self.order.final:
            return None
        new = control.result()
        ordered = pack({name: new[name] for name, _ in c_k.structure.tensors})
        return self.keeper.report_control(c_k, ordered, self.order.reports)

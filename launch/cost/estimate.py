"""What a run without faults will cost, beside the same run with nothing saved, and beside flat FedAvg."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fedphd.common.config import Config, FineTuning
from fedphd.common.network import UNet
from fedphd.common.network.build import build_unet
from fedphd.common.network.counting import count
from fedphd.common.network.pruning import prune
from fedphd.common.network.structure import Structure
from fedphd.common.wire.parts import PARTS, restrict
from fedphd.common.wire.traffic import LANES, Traffic, total
from fedphd.launch.cost.costs import Costs, sum_costs
from fedphd.launch.cost.profiles import elsewhere, registry, unknown_profiles
from fedphd.launch.cost.reference import UNSAVED, flat_fedavg, flat_registry
from fedphd.launch.cost.replay import Lanes, Replay
from fedphd.launch.cost.sizes import Sizes
from fedphd.server.assignment import ASSIGNMENTS, Assignment, AssignmentRule, plan_round
from fedphd.server.assignment.random import RandomAssignment
from fedphd.server.correction.apportionment import apportion
from fedphd.server.registry import Registry


@dataclass(frozen=True)
class Network:
    """A U-Net, dense or pruned: its structure, and multiply-accumulate operations of one forward pass."""

    structure: Structure
    macs: int

    @classmethod
    def of(cls, unet: UNet) -> "Network":
        """Count."""
        return cls(Structure.of(unet.state_dict()), count(unet)[1])

    @property
    def parameters(self) -> dict[str, int]:
        """Parameters of each part."""
        return {part: restrict(self.structure, (part,)).size for part in PARTS}


@dataclass(frozen=True)
class Period:
    """Root rounds `first` to `last`, and what they send together; round 0 is what comes before the first."""

    first: int
    last: int
    lanes: Lanes

    @property
    def rounds(self) -> int:
        """Number of rounds."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Estimate:
    """What a configuration will communicate: messages with models, their parameters, and bytes as coded.

    Attributes
    ----------
    config : Config
        The configuration.
    dense : Network
        The U-Net as configured.
    pruned : Network or None
        After the pruning.
    pruned_after : int or None
        Root rounds before the pruning.
    preparation : Lanes
        What crosses before the first round.
    rounds : list[Lanes]
        What each root round sends.
    unsaved : Lanes
        What the same run would send in all with `UNSAVED` options.
    costs : Costs
        What the whole run costs, not only in bytes.
    flat : Config
        Flat FedAvg at equal client epochs.
    flat_costs : Costs
        What that costs.
    unknown : str or None
        Why another plan than this one may be drawn.
    """

    config: Config
    dense: Network
    pruned: Network | None
    pruned_after: int | None
    preparation: Lanes
    rounds: list[Lanes]
    unsaved: Lanes
    costs: Costs
    flat: Config
    flat_costs: Costs
    unknown: str | None

    @property
    def lanes(self) -> Lanes:
        """What the whole run sends."""
        return _sum([self.preparation, *self.rounds])

    @property
    def compressed(self) -> bool:
        """Whether bytes are those before a compression."""
        ways = [self.config.codec.access, *([self.config.codec.backbone] if self.config.topology.edges else [])]
        return any(lane.zstd is not None for way in ways for lane in (way.down, way.up))

    @property
    def periods(self) -> list[Period]:
        """Group rounds that send about the same: first contacts, which may take more, stand alone."""
        ends = sorted({0, self.pruned_after or 0, len(self.rounds)})
        grouped = [Period(0, 0, self.preparation)] if total(self.preparation.values()).messages else []
        for start, end in pairwise(ends):
            rounds = self.rounds[start:end]
            if any(one != rounds[0] for one in rounds):
                grouped.append(Period(start + 1, start + 1, rounds[0]))
                grouped.append(Period(start + 2, end, _sum(rounds[1:])))
            else:
                grouped.append(Period(start + 1, end, _sum(rounds)))
        return grouped


def estimate(config: Config) -> Estimate:
    """Play a run without faults, with the sizes of its models only.

    Raises
    ------
    SettingError
        If the run could not start: the images cannot be read or split as asked, or the U-Net cannot be
        built or pruned so.
    """
    known, rule = registry(config), ASSIGNMENTS.read(config.assignment)
    dense, pruned = _networks(config)
    plans = _plans(config, known, rule)
    preparation, *rounds = _play(config, known, dense, pruned, plans)
    images = None if elsewhere(config) else known
    flat = flat_fedavg(config)
    needs_profiles = rule.by_labels or isinstance(config.correction, FineTuning)
    return Estimate(
        config=config,
        dense=dense,
        pruned=pruned,
        pruned_after=config.pruning.after,
        preparation=preparation,
        rounds=rounds,
        unsaved=_sum(_play(config.model_copy(update=UNSAVED), known, dense, None, plans)),
        costs=sum_costs(config, _sum([preparation, *rounds]), plans, images, _macs(config, dense, pruned)),
        flat=flat,
        flat_costs=_flat_costs(flat, known, images, dense),
        unknown=unknown_profiles(config) if needs_profiles else None,
    )


def _plans(config: Config, known: Registry, rule: AssignmentRule) -> list[list[Assignment]]:
    return [
        plan_round(rule, config.topology, known, before * config.topology.edge_rounds, config.seed)
        for before in range(config.rounds)
    ]


def _macs(config: Config, dense: Network, pruned: Network | None) -> list[int]:
    """Give those of the network that each root round trains."""
    after = config.rounds if config.pruning.after is None else min(config.pruning.after, config.rounds)
    return [dense.macs] * after + [(pruned or dense).macs] * (config.rounds - after)


def _flat_costs(flat: Config, known: Registry, images: Registry | None, dense: Network) -> Costs:
    at_root = flat_registry(flat, known)
    plans = _plans(flat, at_root, RandomAssignment(kind="random"))
    lanes = _sum(_play(flat, at_root, dense, None, plans))
    return sum_costs(flat, lanes, plans, images, [dense.macs] * flat.rounds)


def saved(spent: Traffic, unsaved: Traffic) -> float:
    """Give the share of bytes that is saved."""
    return 1 - spent.bytes / unsaved.bytes if unsaved.bytes else 0.0


def _networks(config: Config) -> tuple[Network, Network | None]:
    unet = build_unet(config.model, config.seed)
    if config.pruning.after is None:
        return Network.of(unet), None
    return Network.of(unet), Network.of(prune(unet, config.pruning.share)[0])  # shapes do not depend on weights


def _play(
    config: Config, known: Registry, dense: Network, pruned: Network | None, plans: Sequence[Sequence[Assignment]]
) -> list[Lanes]:
    """Give what crosses before the first round, and in each."""
    sizes = [Sizes(network.structure) for network in (dense, pruned or dense)]
    replay = Replay(config, known, sizes[0], sizes[1], config.pruning.after)
    preparation = replay.local_models(_drawn_from(config, known))
    return [preparation, *(replay.root_round(number, plan) for number, plan in enumerate(plans, start=1))]


def _drawn_from(config: Config, known: Registry) -> list[str]:
    """Name the clients of whose local models images are drawn."""
    if not isinstance(config.correction, FineTuning):
        return []
    shares = apportion(config.correction.images, {name: one.samples for name, one in known.profiles.items()})
    return [client for client, share in shares.items() if share]


def _sum(lanes: Iterable[Lanes]) -> Lanes:
    every = list(lanes)
    return {lane: total(one[lane] for one in every) for lane in LANES}

"""A run without faults, played with the sizes of its models instead of the models.

Who trains where is drawn as in the run (`plan_round`), and who is sent what is decided by the same code (`Contacts`,
`codec_down`, `Exchange.reports`). The rest follows the order of things in server/strategy.py, server/errands.py and
edge/edge_round.py.
"""

from collections.abc import Mapping, Sequence

from fedphd.common.config import Config
from fedphd.common.wire.codec import Codec
from fedphd.common.wire.contacts import Contacts
from fedphd.common.wire.links import codec_down, lossless, standalone
from fedphd.common.wire.parts import PARTS, Parts
from fedphd.common.wire.traffic import LANES, NO_TRAFFIC, Traffic
from fedphd.launch.cost.sizes import Sizes, message
from fedphd.server.assignment import Assignment, final_rounds
from fedphd.server.registry import Registry

Lanes = dict[str, Traffic]  # of each hop in each direction


class Sender:
    """The way down from the root or from one edge.

    Parameters
    ----------
    codec : Codec
        Of this way.
    shared : tuple[str, ...]
        The parts that travel after the first contact.
    """

    def __init__(self, codec: Codec, shared: Parts) -> None:
        self.codec = codec
        self.contacts = Contacts(shared)
        self._latest: int | None = None

    def begin(self, sizes: Sizes, round: int) -> None:
        """Begin a round; changes count from the round before in which something was sent."""
        self.contacts.begin(sizes.structure, round, self._latest if self.codec.of == "change" else None)
        self._sizes, self._latest = sizes, round

    def send(self, receiver: str, *control: Traffic) -> Traffic:
        """Count the message to one receiver, who gets it."""
        parts, change = self.contacts.wanted(receiver)
        self.contacts.confirm(receiver)
        return message(self._sizes.of(parts, codec_down(self.codec, change)), *control)


class Replay:
    """Counts what each root round sends; they are to be asked for in their order.

    Parameters
    ----------
    config : Config
        The run's configuration.
    registry : Registry
        Edges and clients.
    dense, pruned : Sizes
        Of the network before and after the pruning.
    pruned_after : int or None
        Root rounds before the pruning; None if there is none.
    """

    def __init__(
        self, config: Config, registry: Registry, dense: Sizes, pruned: Sizes, pruned_after: int | None
    ) -> None:
        self.config = config
        self.registry = registry
        self.dense, self.pruned, self.pruned_after = dense, pruned, pruned_after
        self.shared = config.exchange.shared
        self.backbone = config.topology.edges > 0
        self._root = Sender(config.backbone.down, self.shared)
        self._edges = {edge: Sender(config.codec.access.down, self.shared) for edge in registry.nodes}

    def local_models(self, clients: Sequence[str]) -> Lanes:
        """Count what crosses before the first round so that these clients train models of their own (FedDDPM)."""
        sizes, access, backbone = self._sizes(1), self.config.codec.access, self.config.backbone
        given = message(sizes.of(PARTS, standalone(access.up)))
        lanes = dict.fromkeys(LANES, NO_TRAFFIC)
        for _ in {self.registry.homes[client][0] for client in clients}:
            lanes["backbone_down"] += message(sizes.of(PARTS, standalone(backbone.down)))
        for _ in clients:
            lanes["access_down"] += message(sizes.of(PARTS, standalone(access.down)))
            lanes["access_up"] += given
            lanes["backbone_up"] += given  # fetched as it came
        return self._crossed(lanes)

    def root_round(self, root_round: int, plan: Sequence[Assignment]) -> Lanes:
        """Count what a root round, from 1, sends in both directions of both hops."""
        sizes, control, backbone = self._sizes(root_round), self._control(root_round), self.config.backbone
        lanes = dict.fromkeys(LANES, NO_TRAFFIC)
        self._root.begin(sizes, root_round)
        for edge in self.registry.nodes:
            lanes["backbone_down"] += self._root.send(edge, *control)
        first = (root_round - 1) * self.config.topology.edge_rounds
        finals = final_rounds(plan) if self.config.objective.control_variates else []
        for edge_round, assignment in enumerate(plan, start=first):
            for edge, clients in assignment.items():
                final = finals[edge_round - first][edge] if finals else []
                down, up = self._edge_round(sizes, control, edge, edge_round, clients, final)
                lanes["access_down"] += down
                lanes["access_up"] += up
        for edge in self.registry.nodes:
            changes = [sizes.of(self.shared, lossless(backbone.up))] if any(final[edge] for final in finals) else []
            lanes["backbone_up"] += message(sizes.of(self.shared, backbone.up), *changes)
        return self._crossed(lanes)

    def _edge_round(
        self, sizes: Sizes, control: list[Traffic], edge: str, edge_round: int, clients: list[str], final: list[str]
    ) -> tuple[Traffic, Traffic]:
        """Count what an edge sends its clients, and they it; of `final` ones with changes of control variates."""
        down = up = NO_TRAFFIC
        if not clients:
            return down, up
        codec, sender = self.config.codec.access.up, self._edges[edge]
        sender.begin(sizes, edge_round)
        for client, parts in self.config.exchange.reports(clients, self.config.seed, edge, edge_round).items():
            changes = [sizes.of(parts, standalone(codec))] if client in final else []
            down += sender.send(client, *control)
            up += message(sizes.of(parts, codec), *changes)
        return down, up

    def _sizes(self, root_round: int) -> Sizes:
        """Sizes of the network that a root round trains."""
        return self.dense if self.pruned_after is None or root_round <= self.pruned_after else self.pruned

    def _control(self, root_round: int) -> list[Traffic]:
        """Size of SCAFFOLD's c, which travels with every order once a round was committed, coded by the root."""
        if not self.config.objective.control_variates or root_round == 1:
            return []
        return [self._sizes(root_round).of(self.shared, standalone(self.config.backbone.down))]

    def _crossed(self, lanes: Mapping[str, Traffic]) -> Lanes:
        """Leave out the backbone where no edge tier is."""
        return {lane: one if self.backbone or lane.startswith("access") else NO_TRAFFIC for lane, one in lanes.items()}

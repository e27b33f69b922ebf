"""Writes a run folder with the run's own writers, event by event as a run of 10 clients does, with known numbers."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from fedphd.common.config import compose, to_yaml
from fedphd.common.network.structure import Structure
from fedphd.common.run.events import (
    Accept,
    Aggregate,
    Checkpoint,
    Commit,
    Evaluate,
    Event,
    Plan,
    Prune,
    Register,
    Send,
    Start,
)
from fedphd.common.run.json_lines import JsonLines
from fedphd.common.run.ledger import Ledger
from fedphd.common.training.seeding import numpy_rng
from fedphd.common.wire.traffic import LANES, NO_TRAFFIC, Traffic

CLASSES = [str(digit) for digit in range(10)]
DENSE, PRUNED = 100_000, 56_250  # parameters


def metrics_line(root_round: int, **facts: object) -> dict[str, object]:
    """Make a line of metrics that has all it must have."""
    lanes = {f"{lane}_{what}": 0 for lane in LANES for what in ("messages", "parameters", "bytes")}
    model = {"phase": "sparse", "parameters": 440_000, "macs": 8_000_000, "structure": "a" * 16}
    trained = {"edge_rounds": 2 * root_round, "loss": 0.3, "clients": 3, "samples": 550}
    return {"round": root_round, **trained, **model, **lanes, "seconds": 8.3, "elapsed": 10.0 * root_round} | facts


@dataclass
class RunWriter:
    """Writes what a run of 10 clients leaves, root round by root round, in the order of the real writers."""

    folder: Path
    edges: int = 2
    edge_rounds: int = 2
    prune_after: int | None = 8
    every: int = 4
    planned: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.folder / "ledger.jsonl")
        self.metrics = JsonLines(self.folder / "metrics.jsonl")
        self.rng = numpy_rng(self.seed, "run")
        self.traffic = dict.fromkeys(LANES, NO_TRAFFIC)
        self.edge_names = [f"edge-{index}" for index in range(max(self.edges, 1))]
        self.clients = [f"client-{index}" for index in range(10)]
        # As the pathological split: classes {0, 5} at clients 0 and 1, {1, 6} at 2 and 3, ...
        self.counts = {
            client: [75 if label % 5 == index // 2 else 0 for label in range(10)]
            for index, client in enumerate(self.clients)
        }

    def start(self, *settings: str) -> None:
        overrides = [f"rounds={self.planned}", f"topology.edges={self.edges}", *settings]
        overrides += ["method=fedavg"] if self.prune_after is None else [f"pruning.sparse_rounds={self.prune_after}"]
        (self.folder / "config.yaml").write_text(to_yaml(compose(overrides)))
        for edge in self.edge_names:
            self.ledger.write(Register(clients=self.clients), edge)
        clients = {client: {"counts": self.counts[client], "homes": self.edge_names} for client in self.clients}
        (self.folder / "partition.json").write_text(json.dumps({"class_names": CLASSES, "clients": clients}))
        frame = {"rounds": self.planned, "edge_rounds": self.edge_rounds, "clients": 10, "edges": len(self.edge_names)}
        self.ledger.write(Start(run="fedphd", **frame))
        self.record(0, loss=None, clients=0, samples=0, client_epochs=0, image_passes=0)

    def parameters(self, root_round: int) -> int:
        """Parameters of the model that travels in a root round."""
        return PRUNED if self.prune_after is not None and root_round > self.prune_after else DENSE

    def structure(self, root_round: int) -> str:
        return Structure((("w", (self.parameters(root_round),)),)).id

    def round(self, root_round: int) -> None:
        plan = []
        for _ in range(self.edge_rounds):
            chosen = self.rng.integers(len(self.edge_names), size=10)
            homes = zip(self.clients, chosen, strict=True)
            plan.append({edge: [] for edge in self.edge_names})
            for client, edge in homes:
                plan[-1][self.edge_names[edge]].append(client)
        self.ledger.write(Plan(round=root_round, assignment=plan))
        samples = dict.fromkeys(self.edge_names, 0)
        loss = 0.5 / (1 + root_round)
        for edge in self.edge_names:
            self.message(Send, None, root_round, None, edge, "backbone")
        for index, assignment in enumerate(plan):
            for edge, clients in assignment.items():
                where = (edge, root_round, (root_round - 1) * self.edge_rounds + index)
                for client in clients:
                    self.message(Send, *where, client, "access")
                for client in clients:
                    self.message(Accept, *where, client, "access", samples=150, loss=loss, seconds=0.2)
                if clients:
                    samples[edge] += 150 * len(clients)
                    facts = {"samples": 150 * len(clients), "loss": loss, "seconds": 0.5}
                    averaged = Aggregate(round=root_round, edge_round=where[2], clients=clients, **facts)
                    self.ledger.write(averaged, edge)
        for edge in self.edge_names:
            facts = {"samples": samples[edge], "loss": loss, "seconds": 1.0}
            self.message(Accept, None, root_round, None, edge, "backbone", **facts)
        total = sum(samples.values())
        self.ledger.write(
            Commit(
                round=root_round,
                edges=self.edge_names,
                loss=loss,
                structure=self.structure(root_round),
                weights={edge: round(samples[edge] / total, 6) for edge in self.edge_names},
                homogeneity={edge: round(1.9 - 0.01 * index, 6) for index, edge in enumerate(self.edge_names)},
            )
        )
        if root_round == self.prune_after:
            self.prune(root_round)
        epochs = len(self.clients) * self.edge_rounds  # E is 1
        self.record(root_round, loss=loss, clients=10, samples=total, client_epochs=epochs, image_passes=total)

    def message(
        self,
        kind: type[Event],
        teller: str | None,
        root_round: int,
        edge_round: int | None,
        peer: str,
        hop: str,
        **facts: object,
    ) -> None:
        """Write that a message crossed a hop, as the edge `teller` tells it, or the root."""
        parameters = 0 if hop == "backbone" and self.edges == 0 else self.parameters(root_round)
        bytes_ = 4 * parameters
        self.traffic[f"{hop}_{'down' if kind is Send else 'up'}"] += Traffic(int(bytes_ > 0), parameters, bytes_)
        traffic = {"hop": hop, "parameters": parameters, "payload_bytes": bytes_}
        traffic["encoded_bytes"] = bytes_ + 2000 * (bytes_ > 0)
        where = {"round": root_round, "edge_round": edge_round, "peer": peer, "structure": self.structure(root_round)}
        self.ledger.write(kind(**where, **traffic, **facts), teller)

    def prune(self, root_round: int) -> None:
        self.ledger.write(
            Prune(
                round=root_round,
                ratio=0.25,
                parameters_before=DENSE,
                parameters_after=PRUNED,
                macs_before=8_000_000,
                macs_after=4_400_000,
                structure_before=self.structure(root_round),
                structure_after=self.structure(root_round + 1),
            )
        )

    def record(self, root_round: int, **facts: object) -> None:
        after = root_round + 1 if root_round == self.prune_after else root_round  # the model as it is now
        phase = "dense" if self.prune_after is None else "sparse" if root_round <= self.prune_after else "pruned"
        quality: dict[str, float] = {}
        if root_round % self.every == 0 or root_round == self.planned:
            quality = {"fd_classifier": round(400 / (1 + root_round), 3), "fd_classifier_reference": 6.125}
            quality |= {f"class_share/{name}": 0.19 if name == "0" else 0.09 for name in CLASSES}
            quality["evaluation_seconds"] = 1.5
            self.grid(root_round)
            self.ledger.write(Evaluate(round=root_round, **quality))
        self.metrics.write(
            round=root_round,
            edge_rounds=root_round * self.edge_rounds,
            phase=phase,
            **facts,
            parameters=self.parameters(after),
            macs=8_000_000 if self.parameters(after) == DENSE else 4_400_000,
            structure=self.structure(after),
            **{f"{lane}_{what}": count for lane, one in self.traffic.items() for what, count in asdict(one).items()},
            seconds=8.25,
            elapsed=10.0 * (root_round + 1),
            **quality,
        )
        self.ledger.write(Checkpoint(round=root_round))

    def grid(self, root_round: int) -> None:
        """Draw real digits under noise that fades over the rounds, as a grid of 10 x 10."""
        strength = 1 - root_round / self.planned
        images = load_digits().images[:100] / 16 * 255
        noisy = (1 - strength) * images + strength * self.rng.uniform(0, 255, images.shape)
        pixels = noisy.reshape(10, 10, 8, 8).swapaxes(1, 2).reshape(80, 80).astype(np.uint8)
        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"round_{root_round:04d}.png")

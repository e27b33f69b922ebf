"""Flat FedAvg at equal client epochs: what the papers compare a hierarchical method with."""

from dataclasses import replace

from fedphd.common.config import EXACT, AccessCodec, BackboneCodec, Config, HopsCodec
from fedphd.common.config.adapters import NoAdapters
from fedphd.common.config.correction import NoCorrection
from fedphd.common.config.pruning import NoPruning
from fedphd.common.config.topology import edge_ids, homes
from fedphd.common.wire.exchange import Full
from fedphd.server.registry import Registry

FLOAT32 = HopsCodec(access=AccessCodec(down=EXACT, up=EXACT), backbone=BackboneCodec(down=EXACT, up=EXACT))


def unsaved(config: Config) -> Config:
    """Make the same run with nothing saved: all of the dense network travels, in float32, and none of it is frozen."""
    model = config.model.model_copy(update={"adapters": NoAdapters(kind="none")})
    full, none = Full(kind="full"), NoPruning(kind="none")
    return config.model_copy(update={"exchange": full, "codec": FLOAT32, "pruning": none, "model": model})


def flat_fedavg(config: Config) -> Config:
    """Make flat FedAvg of a run: its clients talk to the root, and train r_g E passes at a time instead of r_g times E.

    As many rounds with as many participants then make as many client epochs. All of the dense network travels, in
    float32.
    """
    topology, epochs = config.topology, config.training.epochs * config.topology.edge_rounds
    return unsaved(config).model_copy(
        update={
            "topology": topology.model_copy(update={"edges": 0, "edge_rounds": 1, "homes": None}),
            "training": config.training.model_copy(update={"epochs": epochs}),
            "objective": config.objective.model_copy(update={"control_variates": False}),
            "correction": NoCorrection(kind="none"),
        }
    )


def flat_registry(flat: Config, known: Registry) -> Registry:
    """Let all clients of a registry be at home at the root."""
    return replace(known, nodes=dict.fromkeys(edge_ids(flat.topology), 1), homes=homes(flat.topology))


def label(flat: Config) -> str:
    """Say which FedAvg it is."""
    return f"flat FedAvg, E = {flat.training.epochs}"

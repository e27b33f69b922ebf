"""Checkpoints of the root: atomic, hashed, in safetensors and JSON.

A checkpoint is a folder ``checkpoints/round_0012`` with ``model.safetensors``, perhaps ``ema.safetensors`` and
others, ``state.json``, which holds everything else, and ``SHA256SUMS`` over all of them, as `sha256sum --check`
reads it. It is written beside its place and renamed into it, so a torn one is
never taken for a whole one; a damaged one is refused and the one before is used.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from fedphd.common.errors import SettingError
from fedphd.common.network.lineage import Lineage
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.wire.links import Reference
from fedphd.common.wire.traffic import Traffic
from fedphd.server.state import GlobalState, RoundSummary

log = logging.getLogger(__name__)

SUMS = "SHA256SUMS"


class DamagedCheckpointError(Exception):
    """A checkpoint whose files are missing or do not have the hash that was written."""


def save(state: GlobalState, folder: Path, keep: int) -> Path:
    """Write a checkpoint of `state` into `folder` and remove all but the newest `keep`.

    Returns
    -------
    Path
        The checkpoint's folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target, draft = _checkpoint(folder, state.round), folder / f".draft_{state.round:04d}"
    for torn in folder.glob(".draft_*"):
        shutil.rmtree(torn)
    draft.mkdir()
    models = {name: model for name, model in _models(state).items() if model is not None}
    files = {f"{name}.safetensors": model_bytes(model) for name, model in models.items()}
    facts = {
        "round": state.round,
        "elapsed": state.elapsed,
        "traffic": {lane: asdict(traffic) for lane, traffic in state.traffic.items()},
        "reference_round": None if state.reference is None else state.reference.round,
        "counted": state.counted,
        "pruning": state.lineage.to_json(),
        "losses": state.losses,
        "corrected_at": state.corrected_at,
        "latest": asdict(state.latest),
        "structures": {name: model.structure.tensors for name, model in models.items()},
    }
    files["state.json"] = json.dumps(facts).encode()
    files[SUMS] = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()).encode()
    for name, data in files.items():
        _write_durably(draft / name, data)
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    # Newer ones can only be damaged ones that were passed over: they must not push this one out.
    for old in [one for one in _newest_first(folder) if _round(one) <= state.round][keep:]:
        shutil.rmtree(old)
    return target


def load(folder: Path) -> GlobalState:
    """Read the newest sound checkpoint in `folder`; damaged ones are passed over with a warning.

    Raises
    ------
    SettingError
        If there is none.
    """
    state = newest(folder)
    if state is None:
        advice = "holds no sound checkpoint to go on with; give another run's folder, or begin a new run"
        raise SettingError("checkpoint.resume", folder.parent, advice)
    return state


def newest(folder: Path) -> GlobalState | None:
    """Read the newest sound checkpoint in `folder` as `load` does; None if there is none.

    While the run goes on, the ones that were listed may be removed for newer ones: then those are read.
    """
    tried: set[Path] = set()
    while untried := [one for one in _newest_first(folder) if one not in tried]:
        for checkpoint in untried:
            try:
                return _read(checkpoint)
            except DamagedCheckpointError as error:
                log.warning("%s is damaged (%s); trying the one before", checkpoint, error)
        tried.update(untried)
    return None


def load_round(folder: Path, number: int) -> GlobalState:
    """Read the checkpoint of one root round in `folder`.

    Raises
    ------
    DamagedCheckpointError
        If it is damaged or not there.
    """
    return _read(_checkpoint(folder, number))


def model_bytes(model: PackedModel) -> bytes:
    """Encode a packed model as a safetensors file."""
    return save_safetensors({name: np.ascontiguousarray(array) for name, array in model.arrays()})  # type: ignore[no-any-return]


def _read(checkpoint: Path) -> GlobalState:
    try:
        lines = (checkpoint / SUMS).read_text(encoding="ascii").rstrip("\n").split("\n")
        digests = {name: digest for digest, name in (line.split("  ") for line in lines)}
        files = {name: (checkpoint / name).read_bytes() for name in digests}
        there = {file.name for file in checkpoint.iterdir()}
    except (OSError, ValueError) as error:
        raise DamagedCheckpointError(str(error)) from error
    if there != {SUMS, *files}:
        raise DamagedCheckpointError(f"{SUMS} does not name the files that are there")
    for name, digest in digests.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise DamagedCheckpointError(f"{name} has another hash than the one written")
    facts = json.loads(files["state.json"])
    models = {name: _model(tensors, files[f"{name}.safetensors"]) for name, tensors in facts["structures"].items()}
    reference = models.get("reference")
    return GlobalState(
        round=facts["round"],
        model=models["model"],
        ema=models.get("ema"),
        traffic={lane: Traffic(**counts) for lane, counts in facts["traffic"].items()},
        elapsed=facts["elapsed"],
        reference=None if reference is None else Reference(facts["reference_round"], reference),
        control=models.get("control"),
        counted=facts["counted"],
        lineage=Lineage.from_json(facts["pruning"]),
        losses=facts["losses"],
        corrected_at=facts["corrected_at"],
        latest=RoundSummary(**facts["latest"]),
    )


def _models(state: GlobalState) -> dict[str, PackedModel | None]:
    reference = None if state.reference is None else state.reference.model
    return {"model": state.model, "ema": state.ema, "reference": reference, "control": state.control}


def _model(tensors: object, data: bytes) -> PackedModel:
    structure, arrays = Structure.from_json(json.dumps(tensors)), load_safetensors(data)
    return PackedModel(structure, np.concatenate([arrays[name].ravel() for name, _ in structure.tensors]))


def _newest_first(folder: Path) -> Iterator[Path]:
    # What a user has copied there, as round_0002.bak, is none of the run's.
    own = (one for one in folder.glob("round_*") if one.name.removeprefix("round_").isdecimal())
    yield from sorted(own, key=_round, reverse=True)


def _checkpoint(folder: Path, number: int) -> Path:
    return folder / f"round_{number:04d}"


def _round(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("round_"))


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

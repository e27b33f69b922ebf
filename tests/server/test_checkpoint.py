import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from fedphd.common.errors import SettingError
from fedphd.common.network.lineage import Lineage
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.pruning import Pruning
from fedphd.common.network.structure import Structure
from fedphd.common.wire.links import Reference
from fedphd.common.wire.traffic import LANES, Traffic
from fedphd.server import checkpoint
from fedphd.server.state import GlobalState, RoundSummary

STRUCTURE = Structure((("conv.weight", (2, 1, 3, 3)), ("conv.bias", (2,)), ("scale", ())))
PART = Structure(STRUCTURE.tensors[:2])  # what travels need not be the whole network


def numbers(structure: Structure, seed: int) -> PackedModel:
    model = PackedModel(structure, np.random.default_rng(seed).standard_normal(structure.size).astype(np.float32))
    model.vector[:3] = [-0.0, 1e-45, 3.4e38]
    return model


def state(committed: int, ema: bool = True, **more: object) -> GlobalState:
    traffic = {lane: Traffic(number, 2, 2**40 + committed) for number, lane in enumerate(LANES)}
    average = numbers(STRUCTURE, -committed % 1000) if ema else None
    return GlobalState(committed, numbers(STRUCTURE, committed), average, traffic, 0.1 + committed, **more)  # type: ignore[arg-type]


def hashes(one: GlobalState) -> dict[str, str | None]:
    reference = None if one.reference is None else one.reference.model
    models = {"model": one.model, "ema": one.ema, "control": one.control, "reference": reference}
    return {name: None if model is None else model.hash for name, model in models.items()}


def assert_same(a: GlobalState, b: GlobalState) -> None:
    assert (a.round, a.traffic, a.elapsed) == (b.round, b.traffic, b.elapsed)
    assert hashes(a) == hashes(b)
    assert (a.reference and a.reference.round) == (b.reference and b.reference.round)
    assert (a.lineage, a.losses, a.corrected_at) == (b.lineage, b.losses, b.corrected_at)
    assert (a.counted, a.latest) == (b.counted, b.latest)


def saved(folder: Path, *rounds: int, keep: int = 10) -> list[Path]:
    return [checkpoint.save(state(committed), folder, keep) for committed in rounds]


def flip(file: Path, byte: int, bit: int) -> None:
    data = bytearray(file.read_bytes())
    data[byte % len(data)] ^= 1 << bit
    file.write_bytes(data)


FULL = {
    "reference": Reference(11, numbers(PART, 5)),
    "control": numbers(PART, 6),
    "counted": {"client-0": 4, "client-3": 11},
    "lineage": Lineage(Pruning(0.25, "0123456789abcdef", (("conv_in", True, (1, 3)), ("down_blocks.0", False, ())))),
    "losses": [0.5, None, 0.25],
    "corrected_at": 3,
    "latest": RoundSummary(0.25, 3, 120, 8, 480),
}


@pytest.mark.parametrize("name", FULL)
def test_what_methods_add_comes_back(tmp_path: Path, name: str) -> None:
    """One by one, so that none leans on another."""
    whole, one = state(12, **FULL), state(12, **{name: FULL[name]})
    assert_same(checkpoint.load(checkpoint.save(one, tmp_path / "one", keep=2).parent), one)
    assert_same(checkpoint.load(checkpoint.save(whole, tmp_path / "all", keep=2).parent), whole)
    assert_same(checkpoint.load(checkpoint.save(state(12), tmp_path / "none", keep=2).parent), state(12))
    with pytest.raises(AssertionError):
        assert_same(one, state(12))


@pytest.mark.parametrize("ema", [True, False])
def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path, ema: bool) -> None:
    folder = tmp_path / "run" / "checkpoints"
    target = checkpoint.save(state(12, ema), folder, keep=2)
    assert target == folder / "round_0012"
    assert_same(checkpoint.load(folder), state(12, ema))
    assert [file.name for file in folder.iterdir()] == ["round_0012"]  # no draft is left


def test_the_model_is_a_plain_safetensors_file(tmp_path: Path) -> None:
    [target] = saved(tmp_path, 1)
    tensors = load_file(target / "model.safetensors")
    expected = dict(state(1).model.arrays())
    assert set(tensors) == set(expected)
    for name, array in expected.items():
        assert tensors[name].size == array.size
        np.testing.assert_array_equal(tensors[name].ravel(), array.ravel())
    assert tensors["conv.weight"].shape == (2, 1, 3, 3)


def test_the_newest_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 3, 4, 5, keep=2)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["round_0004", "round_0005"]
    assert_same(checkpoint.load(tmp_path), state(5))


def test_rounds_are_ordered_as_numbers(tmp_path: Path) -> None:
    saved(tmp_path, 9998, 9999, 10000, 10001, keep=2)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["round_10000", "round_10001"]
    assert checkpoint.load(tmp_path).round == 10001


def test_a_round_may_be_saved_again(tmp_path: Path) -> None:
    saved(tmp_path, 7)
    checkpoint.save(state(7, ema=False), tmp_path, keep=2)
    assert_same(checkpoint.load(tmp_path), state(7, ema=False))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["model.safetensors", "ema.safetensors", "state.json", "SHA256SUMS"]), st.data())
def test_any_flipped_bit_is_noticed(tmp_path: Path, name: str, data: st.DataObject) -> None:
    newest = tmp_path / "round_0002"
    if not newest.exists():
        saved(tmp_path, 1, 2)
    sound = (newest / name).read_bytes()
    flip(newest / name, data.draw(st.integers(0, 10**4)), data.draw(st.integers(0, 7)))
    try:
        assert_same(checkpoint.load(tmp_path), state(1))
    finally:
        (newest / name).write_bytes(sound)
    assert_same(checkpoint.load(tmp_path), state(2))


@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors", "state.json", "SHA256SUMS"])
@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_torn_files_are_noticed(tmp_path: Path, name: str, part: float, caplog: pytest.LogCaptureFixture) -> None:
    _, newest = saved(tmp_path, 1, 2)
    data = (newest / name).read_bytes()
    (newest / name).write_bytes(data[: int(part * len(data))])
    with caplog.at_level(logging.WARNING):
        assert_same(checkpoint.load(tmp_path), state(1))
    assert "round_0002 is damaged" in caplog.text


@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors", "state.json", "SHA256SUMS"])
def test_missing_files_are_noticed(tmp_path: Path, name: str) -> None:
    _, newest = saved(tmp_path, 1, 2)
    (newest / name).unlink()
    assert_same(checkpoint.load(tmp_path), state(1))


def test_lines_missing_from_the_sums_are_noticed(tmp_path: Path) -> None:
    """... or the exponential moving average would be forgotten."""
    _, newest = saved(tmp_path, 1, 2)
    lines = (newest / "SHA256SUMS").read_text().splitlines(keepends=True)
    (newest / "SHA256SUMS").write_text("".join(line for line in lines if "ema" not in line))
    assert_same(checkpoint.load(tmp_path), state(1))


def test_a_draft_of_a_killed_process_is_neither_read_nor_left(tmp_path: Path) -> None:
    [target] = saved(tmp_path, 3)
    shutil.copytree(target, tmp_path / ".draft_0004")
    assert_same(checkpoint.load(tmp_path), state(3))
    saved(tmp_path, 5)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["round_0003", "round_0005"]


def test_a_damaged_newer_one_does_not_push_out_the_sound_one(tmp_path: Path) -> None:
    _, damaged = saved(tmp_path, 4, 6)
    flip(damaged / "model.safetensors", 100, 0)
    assert checkpoint.load(tmp_path).round == 4
    saved(tmp_path, 5, keep=1)
    assert_same(checkpoint.load(tmp_path), state(5))
    saved(tmp_path, 6, keep=1)
    assert_same(checkpoint.load(tmp_path), state(6))


def test_without_a_sound_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    with pytest.raises(SettingError, match="holds no sound checkpoint") as caught:
        checkpoint.load(folder)
    assert (caught.value.key, caught.value.value) == ("checkpoint.resume", tmp_path / "run")
    [only] = saved(folder, 1)
    flip(only / "state.json", 20, 0)
    with pytest.raises(SettingError, match="holds no sound checkpoint"):
        checkpoint.load(folder)

"""What is kept from round to round: from which state a round starts, and which ones stay."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedphd.common.config import CheckpointConfig
from fedphd.common.keeping.state_store import TORN_AFTER, StateStore, restarts


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"b": torch.full((2, 3), value), "a": torch.tensor([value, -0.0, 1e-45])}


def save(folder: Path, round: int, *starts: int, source: str = "", value: float | None = None) -> None:
    StateStore(folder, starts, source).save(round, tensors(float(round) if value is None else value), "s")


def candidates(folder: Path, round: int, start: int, source: str = "") -> list[int]:
    """Rounds after whose states `round` of the root round that begins at `start` may begin, the best first."""
    return [state.round for state in StateStore(folder, [start], source).restore(round)]


def kept(folder: Path) -> list[int]:
    return sorted(int(file.name.partition(".")[0]) for file in folder.glob("*.safetensors"))


def checkpoints(every: int, keep: int) -> CheckpointConfig:
    return CheckpointConfig(every=every, keep=keep, resume=None)


# --- from which state a round starts ----------------------------------------------------------------


def test_states_come_back_bit_for_bit(tmp_path: Path) -> None:
    StateStore(tmp_path / "made" / "here", [4], "edge-0").save(4, tensors(0.1), "0123456789abcdef")
    [state] = StateStore(tmp_path / "made" / "here", [5], "edge-0").restore(5)
    assert (state.round, state.structure, set(state.tensors)) == (4, "0123456789abcdef", {"a", "b"})
    for name, tensor in tensors(0.1).items():
        assert state.tensors[name].dtype == tensor.dtype
        assert state.tensors[name].numpy().tobytes() == tensor.numpy().tobytes()


def test_tensors_in_another_memory_order_are_kept_by_their_numbers(tmp_path: Path) -> None:
    turned = torch.arange(6.0).view(2, 3).T
    StateStore(tmp_path, [0]).save(0, {"turned": turned}, "s")
    [state] = StateStore(tmp_path, [1]).restore(1)
    assert torch.equal(state.tensors["turned"], turned)


def test_without_a_state_there_is_nothing_to_start_from(tmp_path: Path) -> None:
    assert candidates(tmp_path / "none", 3, 3) == []
    save(tmp_path, 3, 3)
    assert candidates(tmp_path, 3, 3) == []  # sent again, the round starts from where it started the first time


def test_a_round_of_the_same_edge_starts_from_the_one_before_it(tmp_path: Path) -> None:
    for edge_round in (4, 5, 6):
        save(tmp_path, edge_round, 4, source="edge-0")
    assert candidates(tmp_path, 6, 4, "edge-0") == [5, 4]
    assert candidates(tmp_path, 5, 4, "edge-0") == [4]
    assert candidates(tmp_path, 4, 4, "edge-0") == []


def test_another_edges_states_count_only_from_earlier_root_rounds(tmp_path: Path) -> None:
    """Root rounds of three edge rounds: 3 to 5, then 6 to 8."""
    save(tmp_path, 3, 3, source="edge-0")
    save(tmp_path, 4, 3, source="edge-1")
    assert candidates(tmp_path, 5, 3, "edge-0") == [3]
    assert candidates(tmp_path, 5, 3, "edge-1") == [4]
    assert candidates(tmp_path, 5, 3, "edge-2") == []
    assert candidates(tmp_path, 6, 6, "edge-0") == candidates(tmp_path, 6, 6, "edge-2") == [4, 3]


def test_without_a_source_a_root_rounds_edge_rounds_all_start_from_before_it(tmp_path: Path) -> None:
    for edge_round in (2, 3, 4):
        save(tmp_path, edge_round, 3 if edge_round > 2 else 0)
    assert candidates(tmp_path, 5, 3) == [2]
    assert candidates(tmp_path, 6, 6)[0] == 4


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_edges_that_ask_in_any_order_find_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A client of three edges, root rounds of four edge rounds; each edge round is one edge's."""
    folder, starts = tmp_path_factory.mktemp("states"), [0]
    for root_round in range(3):
        starts = [max(4 * (root_round - 1), 0), 4 * root_round]
        rounds = range(4 * root_round, 4 * root_round + 4)
        edges = {edge_round: data.draw(st.sampled_from(["edge-0", "edge-1", "edge-2"])) for edge_round in rounds}
        waiting = {edge: [one for one in rounds if edges[one] == edge] for edge in edges.values()}
        order = data.draw(st.permutations([edges[one] for one in rounds]))  # each edge's own rounds follow each other
        for edge in order:
            edge_round = waiting[edge].pop(0)
            own = [one for one in rounds if edges[one] == edge and one < edge_round]
            expected = own[-1] if own else starts[-1] - 1
            found = next(StateStore(folder, starts, edge).restore(edge_round), None)
            assert (-1 if found is None else found.round) == expected
            StateStore(folder, starts, edge).save(edge_round, tensors(edge_round), "s")


# --- damage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:10],
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"\xff" * len(data),
        lambda data: data[:8] + b"[" * (len(data) - 8),
    ],
)
def test_a_damaged_state_is_passed_over(tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture) -> None:
    for edge_round in (3, 4, 5):
        save(tmp_path, edge_round, 0, source="edge-0")
    file = tmp_path / "00000004.edge-0.s.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    assert candidates(tmp_path, 6, 0, "edge-0") == [5, 3]
    assert candidates(tmp_path, 5, 0, "edge-0") == [3]
    assert caplog.text.count(f"{file} is damaged (") == 2


def test_files_of_others_are_no_states(tmp_path: Path) -> None:
    save(tmp_path, 1, 0, source="edge-0")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".00000002.edge-0.s.safetensors.7.draft").write_bytes(b"half")
    assert candidates(tmp_path, 9, 0, "edge-0") == [1]


def test_drafts_of_killed_processes_go_and_those_in_the_making_stay(tmp_path: Path) -> None:
    torn, live = (tmp_path / f".00000000..s.safetensors.{pid}.draft" for pid in (1, 2))
    for draft in (torn, live):
        draft.write_bytes(b"half")
    os.utime(torn, (0, live.stat().st_mtime - 2 * TORN_AFTER))
    save(tmp_path, 1, 1)
    assert sorted(file.name for file in tmp_path.iterdir()) == [live.name, "00000001..s.safetensors"]


def test_only_the_owner_may_read_states(tmp_path: Path) -> None:
    save(tmp_path / "states", 1, 1)
    assert (tmp_path / "states").stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in (tmp_path / "states").iterdir())


# --- what stays -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "keep", "root_round", "expected"),
    [
        (1, 2, 1, [1, 1]),  # the checkpoint before round 1 is the start
        (1, 2, 2, [1, 2, 2]),
        (1, 2, 7, [6, 7, 7]),  # checkpoints 5 and 6 are there: they go on with 6 and 7
        (1, 1, 7, [7, 7]),
        (3, 2, 7, [4, 7, 7]),  # 3 and 6
        (3, 2, 9, [4, 7, 9]),
        (3, 1, 9, [7, 9]),
        (5, 2, 4, [1, 4]),
    ],
)
def test_root_rounds_that_may_be_asked_for(every: int, keep: int, root_round: int, expected: list[int]) -> None:
    assert restarts(checkpoints(every, keep), root_round) == expected


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 40))
def test_every_kept_checkpoint_can_be_gone_back_to(every: int, keep: int, root_round: int) -> None:
    """After round r the root keeps the newest `keep` of the checkpoints 0, every, 2 every, ... up to r."""
    there = [one for one in range(root_round) if one % every == 0][-keep:]
    assert restarts(checkpoints(every, keep), root_round) == [*(one + 1 for one in there), root_round]


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.sets(st.integers(1, 9)), st.integers(0, 8))
def test_after_going_back_a_round_starts_from_the_same_state(
    tmp_path_factory: pytest.TempPathFactory, every: int, keep: int, edge_rounds: int, away: set[int], choice: int
) -> None:
    """Whichever kept checkpoint the root goes back to, and in which rounds the client was not asked."""
    folder, config = tmp_path_factory.mktemp("states"), checkpoints(every, keep)

    def run_round(root_round: int) -> list[int]:
        starts = [(one - 1) * edge_rounds for one in restarts(config, root_round)]
        found = []
        for edge_round in range((root_round - 1) * edge_rounds, root_round * edge_rounds):
            store = StateStore(folder, starts, "edge-0")
            found.append(next((state.round for state in store.restore(edge_round)), -1))
            store.save(edge_round, tensors(edge_round), "s")
        return found

    rounds = [one for one in range(1, 10) if one not in away]
    first = {one: run_round(one) for one in rounds}
    back = restarts(config, 9)[choice % len(restarts(config, 9))]
    assert {one: run_round(one) for one in rounds if one >= back} == {one: first[one] for one in rounds if one >= back}


def test_old_states_go(tmp_path: Path) -> None:
    for root_round in range(1, 12):
        starts = [2 * (one - 1) for one in restarts(checkpoints(1, 2), root_round)]
        for edge_round in (2 * root_round - 2, 2 * root_round - 1):
            save(tmp_path / "own", edge_round, *starts, source="edge-0")
            save(tmp_path / "all", edge_round, *starts)
    # The last root round's 20 and 21, and what it and the one before it (18, 19) start from. Where all edge rounds
    # start from before the root round, its earlier ones are of no use.
    assert kept(tmp_path / "own") == [17, 19, 20, 21]
    assert kept(tmp_path / "all") == [17, 19, 21]


def test_a_later_round_of_a_faster_edge_stays(tmp_path: Path) -> None:
    for source, name in (("edge-1", "own"), ("", "all")):
        save(tmp_path / name, 7, 6, source=source)
        save(tmp_path / name, 6, 6, source=source and "edge-0")
        assert kept(tmp_path / name) == [6, 7]

import os
from pathlib import Path

import torch
from torch import nn

from fedphd.client.optimizer_store import OptimizerStore


def adam(steps: int = 0, seed: int = 0) -> torch.optim.Adam:
    """Adam after some steps on gradients of its own."""
    rng = torch.Generator().manual_seed(seed)
    network = nn.Linear(2, 3)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(steps):
        for parameter in network.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=rng)
        optimizer.step()
    return optimizer


def moments(optimizer: torch.optim.Adam) -> list[list[float]]:
    return [
        [*own["exp_avg"].flatten().tolist(), *own["exp_avg_sq"].flatten().tolist(), float(own["step"])]
        for own in optimizer.state_dict()["state"].values()
    ]


def restored(folder: Path, start: int, structure: str = "s") -> list[list[float]]:
    """Moments with which an edge round of the root round that begins at edge round `start` begins."""
    fresh = adam()
    OptimizerStore(folder, structure, [start]).restore(fresh)
    return moments(fresh)


def save(folder: Path, edge_round: int, *starts: int, structure: str = "s", timeline: int = 0) -> list[list[float]]:
    """Save a state that belongs to the edge round, and return it."""
    optimizer = adam(edge_round + 1, seed=timeline)
    OptimizerStore(folder, structure, starts).save(optimizer, edge_round)
    return moments(optimizer)


def kept(folder: Path) -> list[int]:
    return sorted(int(file.name.partition(".")[0]) for file in (folder / "optimizer").glob("*.safetensors"))


def test_moments_come_back_bit_for_bit(tmp_path: Path) -> None:
    state = save(tmp_path, 4, 4)
    assert state
    assert restored(tmp_path, 5) == state
    assert restored(tmp_path, 9) == state  # it was not asked in between


def test_without_a_state_the_optimizer_starts_anew(tmp_path: Path) -> None:
    assert restored(tmp_path, 3) == []
    save(tmp_path, 4, 4)
    assert restored(tmp_path, 4) == []  # a state of the same root round is not where it started
    assert restored(tmp_path, 5, structure="pruned") == []


def test_edges_that_ask_in_another_order_get_the_same(tmp_path: Path) -> None:
    """Root rounds of two edge rounds: 0 and 1, then 2 and 3, which two edges ask for in either order."""
    states = {}
    for name, order in (("a", (2, 3)), ("b", (3, 2))):
        first = save(tmp_path / name, 1, 0)
        for edge_round in order:
            assert restored(tmp_path / name, 2) == first
            states[name, edge_round] = save(tmp_path / name, edge_round, 0, 2)
        assert restored(tmp_path / name, 4) == states[name, 3]


def test_old_states_are_forgotten(tmp_path: Path) -> None:
    for edge_round in range(10):
        save(tmp_path, edge_round, edge_round)
    assert kept(tmp_path) == [8, 9]


def test_states_that_a_resumed_root_starts_from_are_kept(tmp_path: Path) -> None:
    """Root rounds of two edge rounds; the root keeps the checkpoints before edge rounds 4 and 6."""
    states = {edge_round: save(tmp_path, edge_round, 4, 6, 8) for edge_round in range(2, 10)}
    assert kept(tmp_path) == [3, 5, 7, 9]
    assert restored(tmp_path, 4) == states[3]
    assert restored(tmp_path, 6) == states[5]


def test_after_a_root_went_back_the_run_is_repeated_not_mixed(tmp_path: Path) -> None:
    """A root round of four edge rounds, 4 to 7, is repeated, and the client answers otherwise than before."""
    for edge_round in range(3, 8):
        save(tmp_path, edge_round, 4)
    before = restored(tmp_path, 4)
    for edge_round in range(4, 8):
        assert restored(tmp_path, 4) == before
        repeated = save(tmp_path, edge_round, 4, timeline=1)
    assert restored(tmp_path, 8) == repeated


def test_a_damaged_state_is_passed_over(tmp_path: Path) -> None:
    before = save(tmp_path, 3, 3)
    save(tmp_path, 4, 4)
    file = tmp_path / "optimizer" / "00000004..s.safetensors"
    file.write_bytes(file.read_bytes()[:10])
    assert restored(tmp_path, 5) == before


def test_no_draft_is_left(tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    torn, live = (tmp_path / "optimizer" / f".00000000..s.safetensors.{pid}.draft" for pid in (1, 2))
    for draft in (torn, live):
        draft.write_bytes(b"half")
    os.utime(torn, (0, 0))  # of a process that was killed long ago; the other one may still be writing
    save(tmp_path, 1, 0)
    left = sorted(file.name for file in (tmp_path / "optimizer").iterdir())
    assert left == [live.name, "00000001..s.safetensors"]


def test_states_from_before_a_pruning_are_kept_while_the_root_can_go_back(tmp_path: Path) -> None:
    dense = save(tmp_path, 3, 3, structure="dense")
    for edge_round in (4, 5, 6):
        save(tmp_path, edge_round, 4, edge_round, structure="pruned")
    assert restored(tmp_path, 4, structure="dense") == dense
    save(tmp_path, 7, 7, structure="pruned")
    assert kept(tmp_path) == [6, 7]


def test_restored_moments_have_the_layout_of_their_parameter(tmp_path: Path) -> None:
    """Fused Adam pairs numbers by memory; a convolution in channels-last order has another than its file."""

    def steps(network: nn.Conv2d, optimizer: torch.optim.Adam, first: int) -> None:
        for step in range(first, first + 3):
            rng = torch.Generator().manual_seed(step)
            for parameter in network.parameters():
                parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=rng))
            optimizer.step()

    def fresh() -> tuple[nn.Conv2d, torch.optim.Adam]:
        torch.manual_seed(0)
        network = nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
        return network, torch.optim.Adam(network.parameters(), lr=1e-2, fused=True)

    straight, optimizer = fresh()
    steps(straight, optimizer, 0)
    OptimizerStore(tmp_path, "s", [0]).save(optimizer, 0)
    halfway = {name: tensor.clone() for name, tensor in straight.state_dict().items()}
    steps(straight, optimizer, 3)

    resumed, optimizer = fresh()
    resumed.load_state_dict(halfway)
    OptimizerStore(tmp_path, "s", [1]).restore(optimizer)
    steps(resumed, optimizer, 3)
    assert torch.equal(resumed.weight, straight.weight)

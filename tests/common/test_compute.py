"""How float32 numbers are multiplied on a GPU; what is said of it can be read without one."""

from collections.abc import Iterator

import pytest
import torch
from helpers import small_config

from fedphd.common.training.compute import compute_float32_as, pick_device


@pytest.fixture
def flags() -> Iterator[None]:
    """Leave this process as it was."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


@pytest.mark.usefixtures("flags")
@pytest.mark.parametrize(
    ("precision", "matrices"), [("float32", "highest"), ("bfloat16", "high"), ("auto", "high"), ("float32", "highest")]
)
def test_float32_is_as_pytorch_has_it_and_all_else_in_tf32(precision: str, matrices: str) -> None:
    compute_float32_as(precision)
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == (matrices, True)


@pytest.mark.usefixtures("flags")
def test_on_a_cpu_nothing_is_said() -> None:
    torch.set_float32_matmul_precision("highest")
    assert pick_device(small_config("training.precision=auto", "runtime.device=cpu")).type == "cpu"
    assert torch.get_float32_matmul_precision() == "highest"

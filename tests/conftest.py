"""Fixtures that most tests share; what they are made of is in `helpers.py`."""

from pathlib import Path

import pytest
import torch
from helpers import small_config

from fedphd.common.config import Config
from fedphd.common.flower.private import assume_task_identity
from fedphd.common.run.ledger import Ledger

assume_task_identity()  # so that tests can make Flower messages outside of a Flower run
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def config() -> Config:
    """Two edges, four clients, two edge rounds in a root round; nobody waits long."""
    return small_config()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Give an empty ledger in the test's own folder."""
    return Ledger(tmp_path / "ledger.jsonl")

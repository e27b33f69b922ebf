"""Fixtures that most tests share; what they are made of is in `helpers.py`."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import small_config
from PIL import Image

from fedphd.common.config import Config
from fedphd.common.data.folder_images import FolderImages
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


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each file is opened to be decoded."""
    times: Counter[str] = Counter()
    opens = FolderImages.open

    def counted(self: FolderImages, source: Any) -> Image.Image:
        times[Path(source).name] += 1
        return opens(self, source)

    monkeypatch.setattr(FolderImages, "open", counted)
    return times

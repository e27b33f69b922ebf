"""Each experiment file composes, and its values win over the embedded default's."""

from pathlib import Path

import pytest
import yaml

from fedphd.common.config import compose

FOLDER = Path(__file__).parents[2] / "conf" / "experiment"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_an_experiment_sets_what_it_says(file: Path, tmp_path: Path) -> None:
    data = "data.root" if "data.root" in file.read_text() else "data.path"
    weights = ["evaluation.inception_weights=/weights.pt"] if "/evaluation: fid" in file.read_text() else []
    config = compose([f"experiment={file.stem}", f"{data}={tmp_path}", *weights]).model_dump()
    said = yaml.safe_load(file.read_text())
    del said["defaults"]
    assert_contains(config, said)


def assert_contains(config: dict[str, object], said: dict[str, object]) -> None:
    for key, value in said.items():
        if isinstance(value, dict):
            assert_contains(config[key], value)  # type: ignore[arg-type]
        else:
            assert config[key] == value, key

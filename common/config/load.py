"""Composing, checking and carrying the configuration.

Hydra composes it once, in the launcher. From there it travels as one YAML text in Flower's run
config (whose values must be flat scalars), so every process of a run reads the same tree.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import hydra
import yaml
from omegaconf import OmegaConf
from pydantic import ValidationError

from fedphd.common.config.schema import Config
from fedphd.common.errors import SettingError

# The keys of our Flower run config.
CONFIG_KEY = "hydra-config"
OVERRIDES_KEY = "hydra-overrides"
RUN_DIR_KEY = "run-dir"
RUN_ID_KEY = "run-id"


def compose(overrides: Sequence[str] = ()) -> Config:
    """Compose `conf/config.yaml` with Hydra `overrides` and check it.

    Raises
    ------
    SettingError
        If an option's value cannot work.
    """
    with hydra.initialize_config_module("fedphd.conf", version_base="1.3"):
        composed = hydra.compose("config", overrides=list(overrides))
    return validate(OmegaConf.to_container(composed, resolve=True))


def validate(tree: object) -> Config:
    """Check a plain tree of dicts and lists against the schema.

    Raises
    ------
    SettingError
        For the first option that does not fit, naming its key, its value and what would do.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = _dotted_key(tree, first["loc"])
        raise SettingError(key, first["input"] if first["type"] != "missing" else None, first["msg"]) from None


def to_yaml(config: Config) -> str:
    """Render the configuration as YAML text that `from_yaml` reads back to an equal one."""
    return str(yaml.safe_dump(config.model_dump(mode="json", by_alias=True, exclude_unset=True), sort_keys=False))


def from_yaml(text: str) -> Config:
    """Read back what `to_yaml` wrote, with all checks done again."""
    return validate(yaml.safe_load(text))


def from_run_config(run_config: Mapping[str, object]) -> Config:
    """Read the configuration from a Flower run config: composed text, or overrides to compose with."""
    text = str(run_config.get(CONFIG_KEY, ""))
    if text:
        return from_yaml(text)
    return compose(shlex.split(str(run_config.get(OVERRIDES_KEY, ""))))


def to_run_config(config: Config, run_dir: Path) -> dict[str, str]:
    """Make the Flower run config that carries a composed configuration and the run folder."""
    return {CONFIG_KEY: to_yaml(config), RUN_DIR_KEY: str(run_dir), RUN_ID_KEY: _run_id(run_dir)}


def _run_id(run_dir: Path) -> str:
    """Name the training in this run folder, the same after a resume: for what clients keep of it on their own disks."""
    file = run_dir / ".run_id"
    if not file.exists():
        run_dir.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{run_dir.name}-{uuid4().hex[:8]}", encoding="utf-8")
    return file.read_text(encoding="utf-8")


def run_folder(run_config: Mapping[str, object], run_id: int) -> Path:
    """Find the run folder that a Flower run config names; by default one named after Flower's run id."""
    return Path(str(run_config.get(RUN_DIR_KEY) or f"runs/flwr-{run_id}")).absolute()


def run_name(run_config: Mapping[str, object]) -> str:
    """Read the name of the training, the same after a resume, as the name of a folder and nothing above it."""
    return Path(str(run_config[RUN_ID_KEY])).name


def leaves(tree: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Yield every setting of a plain tree with its dotted name."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _dotted_key(tree: object, location: tuple[int | str, ...]) -> str:
    """Name the option at pydantic's `location`, without the union tags that pydantic puts between."""
    parts: list[str] = []
    for part in location:
        if isinstance(part, int):
            parts[-1] += f"[{part}]"
        elif not (isinstance(tree, Mapping) and part not in tree and part == tree.get("kind")):
            parts.append(part)
        else:
            continue
        tree = tree[part] if _has(tree, part) else None  # type: ignore[index]
    return ".".join(parts)


def _has(tree: object, part: int | str) -> bool:
    if isinstance(part, int):
        return isinstance(tree, list) and part < len(tree)
    return isinstance(tree, Mapping) and part in tree

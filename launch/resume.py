"""Going on with a run: it must be the same run."""

from pathlib import Path
from typing import Any

import yaml

from fedphd.common.config import Config, decides, leaves, validate
from fedphd.common.errors import SettingError
from fedphd.common.run.figures import one_line
from fedphd.launch.classes import with_classes


def from_resumed(tree: Any) -> Config | None:
    """Check a composed configuration that resumes a run against that run's own.

    Parameters
    ----------
    tree : Any
        The composed configuration as plain dicts and lists.

    Returns
    -------
    Config or None
        The configuration to go on with; None if `checkpoint.resume` is not set.

    Raises
    ------
    SettingError
        If there is no such run, or a setting differs that would make it another run.
    """
    resume = tree["checkpoint"].get("resume") if isinstance(tree["checkpoint"], dict) else None
    if resume is None:
        return None
    if not isinstance(resume, str | Path):
        raise SettingError("checkpoint.resume", resume, "must be the path of a run folder")
    file = Path(resume).expanduser() / "config.yaml"
    if not file.exists():
        raise SettingError("checkpoint.resume", resume, "is not a run folder: it has no config.yaml")
    before = _before(file)
    if tree["pruning"].get("sparse_rounds", 0) is None:
        # Left open, it follows from the number of rounds, which may have grown since.
        tree["pruning"]["sparse_rounds"] = getattr(before.pruning, "sparse_rounds", None)
    if tree["model"].get("init") is not None and tree["model"].get("init_hash") is None:
        tree["model"]["init_hash"] = before.model.init_hash  # the start noted it; nobody types it
    now = with_classes(validate(tree))
    old, new = dict(leaves(before.model_dump())), dict(leaves(now.model_dump()))
    for key in sorted(old.keys() | new.keys(), key=lambda key: (not key.endswith(".kind"), key)):  # the choices first
        if old.get(key) != new.get(key) and decides(key, now):
            raise SettingError(key, new.get(key), f"the run to resume has {old.get(key)}; give the same settings again")
    return now


def _before(file: Path) -> Config:
    """Read the configuration of the run to resume."""
    key = "checkpoint.resume"
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
        other = _of_another_version(tree) if isinstance(tree, dict) else set()
        if other:
            advice = f"is of another version of this program ({', '.join(sorted(map(str, other)))})"
            raise SettingError(key, file, f"{advice}; resume it with that version, or begin a new run")
        return validate(tree)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingError(key, file, f"cannot be used ({one_line(error)}); it is damaged") from None
    except SettingError as error:
        if error.key == key:
            raise
        advice = f"cannot be used ({one_line(error)}); it is damaged, or of another version of this program"
        raise SettingError(key, file, advice) from None


def _of_another_version(tree: dict[str, Any]) -> set[str]:
    """Name the groups that only that version has, or only this one."""
    needed = {name for name, field in Config.model_fields.items() if field.is_required()}
    return (set(tree) - set(Config.model_fields)) | (needed - set(tree))

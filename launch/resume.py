"""Going on with a run: it must be the same run."""

from pathlib import Path
from typing import Any

import yaml

from fedphd.common.config import Config, decides, leaves, validate
from fedphd.common.errors import SettingError
from fedphd.common.run.figures import one_line
from fedphd.common.run.run_folder import CONFIG

KEY = "checkpoint.resume"


def from_resumed(tree: Any, key: str = KEY) -> Config | None:
    """Check a composed configuration that resumes a run against that run's own.

    Parameters
    ----------
    tree : Any
        The composed configuration as plain dicts and lists.
    key : str
        What errors about the run's folder begin with.

    Returns
    -------
    Config or None
        The configuration to go on with; None if `checkpoint.resume` is not set.

    Raises
    ------
    SettingError
        If there is no such run, or a setting differs that would make it another run.
    """
    checkpoint = tree.get("checkpoint")
    resume = checkpoint.get("resume") if isinstance(checkpoint, dict) else None
    if resume is None:
        return None
    if not isinstance(resume, str | Path):
        raise SettingError(key, resume, "must be the path of a run folder")
    before = settings_of(Path(resume).expanduser(), key)
    if all(isinstance(tree.get(group), dict) for group in ("pruning", "data", "model")):  # else `validate` says so
        _close(tree, before)
    from fedphd.launch.classes import with_classes  # noqa: PLC0415  (imports torch)

    now = with_classes(validate(tree))
    old, new = dict(leaves(before.model_dump())), dict(leaves(now.model_dump()))
    for name in sorted(old.keys() | new.keys(), key=lambda name: (not name.endswith(".kind"), name)):  # choices first
        if old.get(name) != new.get(name) and decides(name, now):
            raise SettingError(name, new.get(name), _differs(name, before, old.get(name), resume))
    return now


def _differs(name: str, before: Config, value: object, run: object) -> str:
    if name == "rounds" and before.training.schedule != "constant":
        falls = f"with training.schedule={before.training.schedule} its learning rate falls to zero over {value} rounds"
        return f"{falls}, so it cannot have others; begin a new run (model.init={run} goes on from its weights)"
    given = f"leave it so: fedphd resume {run} takes all settings from the run"
    return f"the run to resume has {'null' if value is None else value}; {given}"


def _close(tree: Any, before: Config) -> None:
    """Set what is left open, and the run found out at its start, to what it found."""
    if tree["pruning"].get("sparse_rounds", 0) is None:  # of the number of rounds, which may have grown since
        tree["pruning"]["sparse_rounds"] = getattr(before.pruning, "sparse_rounds", None)
    if tree["data"].get("channels", 0) is None:  # of the images, as is what the U-Net leaves open
        tree["data"]["channels"] = getattr(before.data, "channels", None)
    if tree["model"].get("init") is not None and tree["model"].get("init_hash") is None:  # of the given weights
        tree["model"]["init_hash"] = before.model.init_hash
    unet = tree["model"].get("unet")
    if isinstance(unet, dict):
        unet |= {name: before.model.unet[name] for name in unet.keys() & before.model.unet.keys() if unet[name] is None}


def settings_of(run: Path, key: str = KEY) -> Config:
    """Read the configuration of the run to resume.

    Parameters
    ----------
    run : Path
        The run folder.
    key : str
        What errors begin with.

    Raises
    ------
    SettingError
        If there is none, it is damaged, or of another version.
    """
    file = run / CONFIG
    if not file.exists():
        raise SettingError(key, run, f"is not a run folder: it has no {CONFIG}")
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

"""The settings that there are, by the YAML files of `conf/`, and which of them a misspelt one meant."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import yaml

from fedphd import conf
from fedphd.common.config import leaves

GLOBAL = "@package _global_"  # of files that set what other groups have
PACKAGE = re.compile(r"# @package (?!_global_)([\w.]+)")


@cache
def groups() -> dict[str, list[str]]:
    """Name each group's choices."""
    return {
        folder.name: sorted(file.name.removesuffix(".yaml") for file in _yaml_files(folder))
        for folder in files(conf).iterdir()
        if folder.is_dir() and any(_yaml_files(folder))
    }


def choices_of(group: str) -> list[str]:
    """Name the choices of a group, also of one within another, as objective/term; none, if there is no such group."""
    folder = files(conf).joinpath(*group.split("/"))
    return sorted(file.name.removesuffix(".yaml") for file in _yaml_files(folder)) if folder.is_dir() else []


@cache
def settings() -> dict[str, list[str]]:
    """Give, for the dotted name of every setting, the choices that have it, as exchange=full; none: it is in no group.

    A group may set what stands elsewhere, as adapters=lora sets model.adapters.
    """
    known: dict[str, list[str]] = {key: [] for file in _yaml_files(files(conf)) for key in _keys(file)}
    for group in groups():
        for file in _yaml_files(files(conf) / group):
            for key in dict.fromkeys(_keys_of_choice(file, files(conf) / group)):
                choice = f"{group}={file.name.removesuffix('.yaml')}"
                known.setdefault(f"{_package(file) or group}.{key}", []).append(choice)
    return known


def meant_setting(key: str) -> list[str]:
    """Name the settings or groups that a misspelt name may have meant: one that is near, or all that end so."""
    section, _, name = key.rpartition(".")
    names: dict[str, list[str]] = {"": list(groups())}
    for known in settings():
        names.setdefault(known.rpartition(".")[0], []).append(known.rpartition(".")[2])
    if not section and (ending := sorted(known for known in settings() if known.endswith(f".{name}"))):
        return ending
    sections = get_close_matches(section, names, n=1) if section else [""]
    near = [(own, last) for own in sections for last in get_close_matches(name, names[own], n=1)]
    return [f"{own}.{last}".lstrip(".") for own, last in near]


def _yaml_files(folder: Traversable) -> Iterator[Traversable]:
    return (file for file in folder.iterdir() if file.name.endswith(".yaml"))


def _keys_of_choice(file: Traversable, folder: Traversable) -> Iterator[str]:
    """Yield the keys of a choice, with those of the choices that it builds on."""
    yield from _keys(file, folder.name)
    tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    for base in tree.get("defaults", []) if isinstance(tree, dict) else []:
        if isinstance(base, str) and (folder / f"{base}.yaml").is_file():
            yield from _keys_of_choice(folder / f"{base}.yaml", folder)


def _package(file: Traversable) -> str | None:
    """Say where the settings of a file stand, if its first line does."""
    found = PACKAGE.match(file.read_text(encoding="utf-8"))
    return found[1] if found else None


def _keys(file: Traversable, group: str = "") -> list[str]:
    """List the keys of a file; of one that sets other groups' too, as a model does, those of its own group."""
    text = file.read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    if GLOBAL in text.partition("\n")[0] and isinstance(tree, dict):
        tree = tree.get(group)
    if not isinstance(tree, dict):
        return []
    return [key for key, _ in leaves(tree) if key.partition(".")[0] not in ("defaults", "hydra")]

"""Modules of ours that an export carries, so that it can be loaded where this project is not.

Diffusers fetches one Python file for each part of a pipeline, so a part's modules are joined into one: one after the
other as they are, but without their imports of each other.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from fedphd.common.network import conditioning, convnext, narrow, widths
from fedphd.common.training import guidance, pipeline

NETWORKS, PIPELINE = "fedphd_networks", "fedphd_pipeline"  # names of the joined modules

# Each one's own imports of ours are among those before it.
CARRIED: dict[str, tuple[ModuleType, ...]] = {
    NETWORKS: (widths, convnext, narrow),
    PIPELINE: (conditioning, guidance, pipeline),
}
FUTURE = "from __future__ import annotations"  # must come first


def bundle(name: str) -> str:
    """Give the text of a joined module: `NETWORKS` or `PIPELINE`."""
    parts = [_carried(Path(str(module.__file__))) for module in CARRIED[name]]
    head = f'"""{_about(name)}"""\n\n{FUTURE}\n'
    return "\n\n".join([head, *parts])


def _about(name: str) -> str:
    modules = ", ".join(module.__name__.partition(".")[2] for module in CARRIED[name])
    return f"Copied from fedphd by `fedphd export`: its modules {modules}."


def _carried(file: Path) -> str:
    """Give a module's text without what it imports of ours."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if _is_left_out(node):
            assert node.end_lineno is not None
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(_squeezed(lines)).strip() + "\n"


def _is_left_out(node: ast.stmt) -> bool:
    match node:
        case ast.ImportFrom(module=str(module)):
            return module == "__future__" or module.startswith("fedphd.")
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case _:
            return False


def _squeezed(lines: Sequence[str]) -> Iterator[str]:
    """Leave no more than two empty lines."""
    for index, line in enumerate(lines):
        if line or any(lines[max(0, index - 2) : index]):
            yield line

"""Stands in for Flower's command `flwr`: notes how it was called, and answers as the test says."""

import json
import sys
from itertools import count
from pathlib import Path

import pytest

import fedphd.common.flower.control

PROGRAM = """#!{python}
import json, os, pathlib, sys
folder = pathlib.Path({folder!r})
call = {{"arguments": sys.argv[1:], "home": os.environ["FLWR_HOME"], "telemetry": os.environ["FLWR_TELEMETRY_ENABLED"]}}
with (folder / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(call) + "\\n")
answer = min((folder / "answers").iterdir())
code, text = json.loads(answer.read_text())
answer.unlink()
print(text)
sys.exit(code)
"""


class StubFlwr:
    """The command, and what it was asked.

    Parameters
    ----------
    folder : Path
        Where it lives.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._numbers = count()
        (folder / "answers").mkdir(parents=True)
        program = folder / "flwr"
        program.write_text(PROGRAM.format(python=sys.executable, folder=str(folder)))
        program.chmod(0o755)
        monkeypatch.setattr(fedphd.common.flower.control, "tool", lambda name: str(folder / name))

    def answer(self, text: str | dict[str, object], code: int = 0) -> None:
        """Queue the answer to the next call."""
        text = text if isinstance(text, str) else json.dumps(text)
        (self.folder / "answers" / f"{next(self._numbers):06}").write_text(json.dumps([code, text]))

    @property
    def calls(self) -> list[dict[str, object]]:
        """How it was called: arguments and environment."""
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def arguments(self) -> list[list[str]]:
        """The arguments of each call."""
        return [list(call["arguments"]) for call in self.calls]  # type: ignore[call-overload]

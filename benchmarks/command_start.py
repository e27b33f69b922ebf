"""What starting the `fedphd` command costs, beside an older version of it, in one run.

`python -m benchmarks.command_start /path/to/old/checkout`: CPU seconds (user and system, children too) of commands that
only print something, medians of a few runs that alternate between the two. Both run with the same Python and packages.
The old checkout is of commit 483ef27, or has the package `fedphd`.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

COMMANDS = (["--help"], ["--version"], ["keys", "--help"], ["status", "--help"], ["cost", "--help"])
REPEATS = 3
GOAL = 0.2


def cpu_seconds(checkout: Path, words: list[str], folder: str) -> float:
    """Run the command of a checkout once."""
    package = "fedphd.launch" if (checkout / "fedphd").is_dir() else "common.launch"
    code = f"import sys; sys.argv[0] = 'fedphd'; from {package}.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": ""}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{checkout}: fedphd {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main(old: Path) -> None:
    new = Path(__file__).parents[1]
    print("fedphd ...        old s   new s   ratio")
    with tempfile.TemporaryDirectory() as folder:
        for words in COMMANDS:
            for checkout in (old, new):
                cpu_seconds(checkout, words, folder)  # compiles
            runs = [[cpu_seconds(checkout, words, folder) for checkout in (old, new)] for _ in range(REPEATS)]
            before, after = (median(times) for times in zip(*runs, strict=True))
            verdict = "" if after <= GOAL * before else f"  more than {GOAL:g}"
            print(f"{' '.join(words):16}  {before:5.2f}  {after:6.3f}  {after / before:6.3f}{verdict}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python -m benchmarks.command_start /path/to/old/checkout")
    main(Path(sys.argv[1]).absolute())

"""Training many runs, each in a process of its own, as many at a time as there are cores; what is finished is left."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fedphd.common.run.json_lines import read_lines


def parser(description: str | None, rows: Collection[str], row: str) -> argparse.ArgumentParser:
    """Make the parser of a benchmark that trains every row of a table with some seeds."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("folder", type=Path)
    made.add_argument("settings", nargs="*", help="further settings of all runs, e.g. data.root=/path/to/data")
    made.add_argument(f"--{row}s", dest="rows", nargs="+", choices=rows, default=list(rows))
    made.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    made.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time")
    return made


def train_all(given: argparse.Namespace, settings: Callable[[str], list[str]]) -> bool:
    """Train every row with every seed, seed by seed; say whether all came to their end."""
    with ThreadPoolExecutor(given.jobs) as pool:
        runs = [
            pool.submit(_train, given.folder / f"{row}_seed{seed}", [*settings(row), f"seed={seed}", *given.settings])
            for seed in given.seeds
            for row in given.rows
        ]
    return all(run.result() for run in runs)


def _train(run_dir: Path, settings: list[str]) -> bool:
    """Train one run; say whether it came to its end."""
    if _finished(run_dir):
        return True
    program = "from fedphd.launch.cli import main; main()"
    command = [sys.executable, "-c", program, *settings, f"hydra.run.dir={run_dir}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    print(f"{run_dir}: {'done' if done.returncode == 0 else done.stderr.strip().splitlines()[-1:]}", flush=True)
    return done.returncode == 0


def _finished(run_dir: Path) -> bool:
    ledger = run_dir / "ledger.jsonl"
    return ledger.exists() and any(line.get("event") == "finish" for line in read_lines(ledger))

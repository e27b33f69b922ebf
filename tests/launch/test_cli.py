"""The `fedphd` command's front: what a start imports, its help, misspelt words, and how an interruption ends."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import small_config

from fedphd.common.config import to_yaml
from fedphd.launch import cli, commands
from fedphd.launch.commands import COMMANDS
from fedphd.launch.ending import UsageError
from fedphd.launch.known import meant_setting

LIGHT = {"torch", "diffusers", "flwr", "hydra", "pydantic", "numpy", "rich", "cryptography"}  # not in these starts
SLOW = {"torch", "diffusers", "flwr", "ray", "matplotlib"}  # not in commands that have no use for them
HEADS = """
import sys
sys.argv = ["fedphd", *sys.argv[1:]]
from fedphd.launch.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(*sorted(name for name in sys.modules if "." not in name), file=sys.stderr)
"""


def imported(folder: Path, *words: str) -> set[str]:
    """Run the command in a process of its own; name the top-level modules that it has imported by its end."""
    done = python(HEADS, folder, *words)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def python(code: str, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


# --- a fast start -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_and_version_import_nothing_that_takes_long(tmp_path: Path, words: list[str]) -> None:
    assert not imported(tmp_path, *words) & LIGHT


@pytest.mark.parametrize("words", [["keys", "keys"], ["compose"], ["kubernetes"]], ids=" ".join)
def test_what_needs_a_configuration_only_imports_no_torch(tmp_path: Path, words: list[str]) -> None:
    assert not imported(tmp_path, *words, "topology.clients=2", "topology.edges=1") & SLOW


def test_the_status_of_a_run_needs_no_torch(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(to_yaml(small_config()))
    assert not imported(tmp_path, "status", "run") & SLOW


def test_a_misspelt_setting_is_found_without_torch(tmp_path: Path) -> None:
    code = HEADS.replace("assert not end.code, end.code", "print(end.code)")
    done = python(code, tmp_path, "methd=fedavg")
    line, modules = done.stderr.splitlines()
    assert done.stdout == "2\n" and line == "fedphd: methd=fedavg: there is no such setting; did you mean method?"
    assert not set(modules.split()) & SLOW


# --- help ---------------------------------------------------------------------------------------------


def run_main(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["fedphd", *words])
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)  # pytest keeps its own handlers
    cli.main()


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["method=fedavg", "--help"]])
def test_help_names_every_command_and_how_settings_are_given(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_main(monkeypatch, *words)
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    for command in COMMANDS.values():
        (line,) = (line for line in lines if line.split()[:1] == [command.name])
        assert command.summary in line and len(line) <= 100
    for text in ("group=choice", "group.key=value", "-m ", "--hydra-help", "--cfg job", "docs/command.md"):
        assert text in printed
    assert max(map(len, lines)) <= 110


def test_every_file_of_a_command_is_registered() -> None:
    folder = Path(commands.__file__).parent
    files = {file.stem for file in folder.glob("*.py")} - {"__init__", "command"}
    assert files == set(COMMANDS)


def test_version_is_that_of_the_package(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run_main(monkeypatch, "--version")
    assert capsys.readouterr().out == f"fedphd {importlib.metadata.version('fedphd')}\n"


# --- what cannot be understood ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["comprae"], "comprae: there is no such command; did you mean fedphd compare?"),
        (["kube"], "kube: there is no such command; there are cost, stats, "),
        (["rounds", "3"], "a setting is given as group=choice or group.key=value"),
        (["keys"], "the following arguments are required: folder; see fedphd keys --help"),
        (["status", "--jsn"], "unrecognized arguments: --jsn; see fedphd status --help"),
    ],
)
def test_a_word_that_is_not_understood_ends_in_one_line(
    words: list[str], text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run_main(monkeypatch, *words)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fedphd: ") and text in line


def test_a_command_called_as_a_function_raises() -> None:
    with pytest.raises(UsageError, match="required: keys"):
        COMMANDS["register"]([])


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("roundss", ["rounds"]),
        ("methd", ["method"]),
        ("lr", ["correction.lr", "training.lr"]),
        ("trainng.lr", ["training.lr"]),
        ("training.batchsize", ["training.batch_size"]),
        ("partition.alpa", ["partition.alpha"]),
        ("training.bogus", []),
        ("nothing_like_it", []),
    ],
)
def test_the_setting_that_was_meant(key: str, meant: list[str]) -> None:
    assert meant_setting(key) == meant


# --- interruption -------------------------------------------------------------------------------------

INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from fedphd.launch import train
from fedphd.launch.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore it

def interrupted(config, run_dir, unused):
    if {checkpoint}:
        (run_dir / "checkpoints" / "round_0003").mkdir(parents=True)
    os.kill(os.getpid(), {signal})

train._train = interrupted
sys.argv = ["fedphd", "hydra.run.dir=runs/one"]
main()
"""


@pytest.mark.parametrize("signal", ["signal.SIGTERM", "signal.SIGINT"])
def test_an_interruption_before_the_first_checkpoint_ends_in_one_line(tmp_path: Path, signal: str) -> None:
    done = python(INTERRUPTED.format(checkpoint=False, signal=signal), tmp_path)
    assert done.returncode == 130
    assert done.stderr == "fedphd: interrupted; there is no checkpoint to go on with yet\n"
    assert not list(tmp_path.glob("runs/*"))  # no empty run folder is left behind


def test_an_interruption_says_how_to_go_on(tmp_path: Path) -> None:
    done = python(INTERRUPTED.format(checkpoint=True, signal="signal.SIGTERM"), tmp_path)
    assert done.returncode == 130
    assert done.stderr == f"fedphd: interrupted; go on with fedphd resume {tmp_path / 'runs' / 'one'}\n"


# --- completion ---------------------------------------------------------------------------------------


def completed(folder: Path, line: str) -> set[str]:
    """Ask for what may follow on a command line, as the script for bash does."""
    code = "import sys; from fedphd.launch.cli import main; sys.argv = ['fedphd', '-sc', 'query=bash']; main()"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "COMP_LINE": line}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fedphd com", {"compare", "compose"}),
        ("fedphd re", {"register", "report", "resume", "resources."}),
        ("fedphd resume ro", set()),
        ("fedphd resume runs/one roun", {"rounds="}),
        ("fedphd to", {"topology=", "topology."}),
        ("fedphd cost exchange=u", {"exchange=udec", "exchange=ulatdec", "exchange=usplit"}),
        ("fedphd status ru", set()),
    ],
)
def test_completion_knows_commands_and_settings(tmp_path: Path, line: str, words: set[str]) -> None:
    assert completed(tmp_path, line) == words


def test_the_shell_gets_its_script(tmp_path: Path) -> None:
    code = "import sys; from fedphd.launch.cli import main; sys.argv = ['fedphd', '-sc', 'install=bash']; main()"
    assert "-F hydra_bash_completion fedphd" in python(code, tmp_path).stdout

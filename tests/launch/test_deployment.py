"""Submitting a run, following it by its ledger, and submitting it again when its ServerApp is lost."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import small_config
from scripted import Clock

import fedphd.launch.runtimes.deployment
import fedphd.launch.runtimes.following
from fedphd.common.config import Config, compose, from_run_config
from fedphd.common.config.load import RUN_DIR_KEY, RUN_ID_KEY
from fedphd.common.errors import FedPhDError, SettingError
from fedphd.common.flower.control import Control, ControlError
from fedphd.common.flower.home import FlowerHome
from fedphd.common.run.events import Event, Fail, Finish, Plan
from fedphd.common.run.ledger import Ledger
from fedphd.common.run.run_folder import CHECKPOINTS
from fedphd.launch.preflight import check
from fedphd.launch.runtimes.deployment import ATTEMPTS, run, submit_and_follow
from fedphd.launch.runtimes.following import END_TIMEOUT, STATUS_EVERY, Follower, RunLostError

FINISH = Finish(seconds=1.0, model="0" * 64)
RUNNING, COMPLETED, FAILED = "running", "finished:completed", "finished:failed"


class EventfulClock(Clock):
    """A clock at which things happen at given times."""

    def __init__(self) -> None:
        super().__init__()
        self._events: list[tuple[float, Callable[[], object]]] = []

    def at(self, seconds: float, event: Callable[[], object]) -> None:
        self._events.append((seconds, event))

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        due = [event for when, event in self._events if when <= self.seconds]
        self._events = [(when, event) for when, event in self._events if when > self.seconds]
        for event in due:
            event()


class Superlink(Control):
    """A SuperLink with one run; None: it does not answer."""

    def __init__(self, status: str | None = RUNNING) -> None:
        self.status = status
        self.asked = 0

    def run(self, run_id: str) -> dict[str, object]:
        self.asked += 1
        if self.status is None:
            raise ControlError("flwr ls: Connection refused")
        return {"run-id": run_id, "status": self.status}

    def become(self, status: str | None) -> Callable[[], None]:
        return lambda: setattr(self, "status", status)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> EventfulClock:
    clock = EventfulClock()
    clock.set(monkeypatch, fedphd.launch.runtimes.following)
    return clock


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def ledger(run_dir: Path) -> Ledger:
    return Ledger(run_dir / "ledger.jsonl")


def tell(ledger: Ledger, event: Event) -> Callable[[], None]:
    return lambda: ledger.write(event)


def ignore() -> None:
    """Watch nothing."""


# --- following --------------------------------------------------------------------------------------


def test_a_run_is_followed_to_its_end(clock: EventfulClock, ledger: Ledger, run_dir: Path) -> None:
    superlink, looks = Superlink(), []
    clock.at(1.0, tell(ledger, Plan(round=1, assignment=[])))
    clock.at(50.0, tell(ledger, FINISH))
    clock.at(52.0, superlink.become(COMPLETED))
    Follower(run_dir).wait(superlink, "1", lambda: looks.append(None))
    assert 52.0 <= clock.seconds < 54.0  # not before Flower has marked it
    assert len(looks) >= 50


def test_flower_is_asked_seldom(clock: EventfulClock, ledger: Ledger, run_dir: Path) -> None:
    superlink = Superlink()
    clock.at(10 * STATUS_EVERY, tell(ledger, FINISH))
    clock.at(10 * STATUS_EVERY, superlink.become(COMPLETED))
    Follower(run_dir).wait(superlink, "1", ignore)
    assert superlink.asked <= 11


def test_a_run_that_flower_never_marks_is_over_all_the_same(
    clock: EventfulClock, ledger: Ledger, run_dir: Path
) -> None:
    clock.at(5.0, tell(ledger, FINISH))
    Follower(run_dir).wait(Superlink(), "1", ignore)
    assert clock.seconds == pytest.approx(5.0 + END_TIMEOUT, abs=1.0)


def test_a_failed_run_says_why(clock: EventfulClock, ledger: Ledger, run_dir: Path) -> None:
    clock.at(5.0, tell(ledger, Fail(reason="root round 3: 1 of 2 edges")))
    with pytest.raises(FedPhDError, match="the run failed: root round 3: 1 of 2 edges") as caught:
        Follower(run_dir).wait(Superlink(), "1", ignore)
    assert not isinstance(caught.value, RunLostError)


def test_a_run_that_flower_ended_before_it_told_its_end_is_lost(
    clock: EventfulClock, ledger: Ledger, run_dir: Path
) -> None:
    superlink = Superlink()
    clock.at(30.0, superlink.become(FAILED))
    with pytest.raises(RunLostError, match=r"Flower ended the run \(finished:failed\) before it was done"):
        Follower(run_dir).wait(superlink, "1", ignore)


def test_an_end_that_is_told_while_flower_is_asked_counts(clock: EventfulClock, ledger: Ledger, run_dir: Path) -> None:
    class Slow(Superlink):
        def run(self, run_id: str) -> dict[str, object]:
            if self.asked == 0:
                tell(ledger, FINISH)()
            return super().run(run_id)

    Follower(run_dir).wait(Slow(COMPLETED), "1", ignore)


def test_a_superlink_that_is_being_restarted_has_lost_nothing(
    clock: EventfulClock, ledger: Ledger, run_dir: Path
) -> None:
    superlink = Superlink(None)
    clock.at(100.0, superlink.become(RUNNING))
    clock.at(200.0, tell(ledger, FINISH))
    clock.at(200.0, superlink.become(COMPLETED))
    Follower(run_dir).wait(superlink, "1", ignore)
    assert clock.seconds >= 200.0


def test_earlier_endings_of_a_resumed_run_do_not_count(clock: EventfulClock, ledger: Ledger, run_dir: Path) -> None:
    tell(ledger, Fail(reason="long ago"))()
    tell(ledger, FINISH)()
    follower = Follower(run_dir)
    superlink = Superlink()
    clock.at(40.0, tell(ledger, FINISH))
    clock.at(40.0, superlink.become(COMPLETED))
    follower.wait(superlink, "1", ignore)
    assert clock.seconds >= 40.0


def test_waiting_in_vain_ends(clock: EventfulClock, run_dir: Path) -> None:
    def watch() -> None:
        raise FedPhDError("flower ended with exit code 1")

    with pytest.raises(FedPhDError, match="flower ended"):
        Follower(run_dir).wait(Superlink(), "1", watch)


# --- submitting -------------------------------------------------------------------------------------


class Runs:
    """A root's SuperLink on which one submission after the other ends as the test says.

    Each of `ends` is called with the ledger and the run folder; the run is lost unless it tells an end.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, run_dir: Path, *ends: Callable[[Ledger, Path], None]) -> None:
        self.submitted: list[tuple[dict[str, object], dict[str, str]]] = []
        self.run_dir = run_dir
        self.ends = ends
        monkeypatch.setattr(Control, "submit", lambda _control, app, run_config: self._submit(app, run_config))
        monkeypatch.setattr(Control, "run", lambda _control, _run_id: {"status": FAILED})

    def _submit(self, app: Path, run_config: dict[str, str]) -> str:
        project = tomllib.loads((app / "pyproject.toml").read_text())
        self.submitted.append((project["tool"]["flwr"]["app"], run_config))
        self.ends[len(self.submitted) - 1](Ledger(self.run_dir / "ledger.jsonl"), self.run_dir)
        return f"run {len(self.submitted)}"

    @property
    def configs(self) -> list[Config]:
        return [from_run_config(run_config) for _, run_config in self.submitted]


def lost(_ledger: Ledger, _run_dir: Path) -> None:
    """End without a word."""


def lost_after(root_round: int) -> Callable[[Ledger, Path], None]:
    def end(_ledger: Ledger, run_dir: Path) -> None:
        (run_dir / CHECKPOINTS / f"round_{root_round:04}").mkdir(parents=True)

    return end


def finished(ledger: Ledger, _run_dir: Path) -> None:
    tell(ledger, FINISH)()


@pytest.fixture
def home(tmp_path: Path) -> FlowerHome:
    home = FlowerHome(tmp_path / "home")
    home.connect_to("127.0.0.1:8000")
    return home


def test_a_run_is_submitted_with_its_folder(
    clock: EventfulClock, home: FlowerHome, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(monkeypatch, run_dir, finished)
    assert submit_and_follow(home, small_config(), run_dir) == "run 1"
    [(app, run_config)] = runs.submitted
    assert app["components"] == {"serverapp": "fedphd.server.app:app", "clientapp": "fedphd.edge.gateway:app"}
    assert set(app["config"]) == set(run_config)  # Flower refuses others
    assert run_config[RUN_DIR_KEY] == str(run_dir)
    assert runs.configs == [small_config()]


def test_the_nodes_of_a_flat_root_are_the_clients(
    clock: EventfulClock, home: FlowerHome, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(monkeypatch, run_dir, finished)
    submit_and_follow(home, small_config("topology.edges=0"), run_dir)
    assert runs.submitted[0][0]["components"] == {
        "serverapp": "fedphd.server.simulation:app",
        "clientapp": "fedphd.client.app:app",
    }


def test_a_lost_run_is_submitted_again_from_its_newest_checkpoint(
    clock: EventfulClock, home: FlowerHome, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(monkeypatch, run_dir, lost, lost_after(1), lost, finished)
    assert submit_and_follow(home, small_config(), run_dir) == "run 4"
    assert [config.checkpoint.resume for config in runs.configs] == [None, None, run_dir, run_dir]
    assert len({run_config[RUN_ID_KEY] for _, run_config in runs.submitted}) == 1  # for what clients keep of it


def test_a_run_that_comes_no_further_is_given_up(
    clock: EventfulClock, home: FlowerHome, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(monkeypatch, run_dir, *[lost] * 9)
    with pytest.raises(RunLostError):
        submit_and_follow(home, small_config(), run_dir)
    assert len(runs.submitted) == ATTEMPTS


def test_a_run_that_comes_further_is_not_given_up(
    clock: EventfulClock, home: FlowerHome, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    further = [lost_after(root_round) for root_round in range(1, 6)]
    runs = Runs(monkeypatch, run_dir, *further, lost, lost, finished)
    with pytest.raises(RunLostError):  # the fifth checkpoint, and twice no further: three times at the same place
        submit_and_follow(home, small_config(), run_dir)
    assert len(runs.submitted) == 7


def test_a_run_that_failed_is_not_submitted_again(
    clock: EventfulClock, home: FlowerHome, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(monkeypatch, run_dir, lambda ledger, _run_dir: tell(ledger, Fail(reason="no disk"))())
    with pytest.raises(FedPhDError, match="the run failed: no disk"):
        submit_and_follow(home, small_config(), run_dir)
    assert len(runs.submitted) == 1


# --- settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], r"runtime\.superlink=null: needs host:port"),
        (["runtime.superlink=root:8000"], r"runtime\.root_certificates=null: needs the file ca\.pem"),
        (
            ["runtime.superlink=root:8000", "runtime.root_certificates=/nowhere/ca.pem"],
            r"runtime\.root_certificates=/nowhere/ca\.pem: needs the file ca\.pem",
        ),
    ],
)
def test_a_deployment_must_say_where_it_is_and_whom_to_trust(overrides: list[str], said: str, run_dir: Path) -> None:
    config = compose(["runtime=deployment", *overrides])
    with pytest.raises(SettingError, match=said):
        run(config, run_dir)
    assert not run_dir.exists()


@pytest.mark.parametrize("insecure", [False, True])
def test_a_deployment_is_reached_with_or_without_tls(
    insecure: bool, clock: EventfulClock, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").write_text("")
    trust = "runtime.insecure=true" if insecure else f"runtime.root_certificates={tmp_path / 'ca.pem'}"
    connections: list[dict[str, object]] = []

    def follow(home: FlowerHome, _config: Config, _run_dir: Path) -> None:
        connections.append(tomllib.loads((home.folder / "config.toml").read_text())["superlink"]["fedphd"])

    monkeypatch.setattr(fedphd.launch.runtimes.deployment, "submit_and_follow", follow)
    run(compose(["runtime=deployment", "runtime.superlink=root:8000", trust]), run_dir)
    expected = {"insecure": True} if insecure else {"root-certificates": str(tmp_path / "ca.pem")}
    assert connections == [{"address": "root:8000", **expected}]


def test_a_deployment_without_security_is_warned_of() -> None:
    [warning] = check(small_config("runtime=processes", "runtime.insecure=true")).notes
    assert warning.startswith("WARNING: runtime.insecure=true: no TLS and no keys")
    assert check(small_config("runtime=processes")).notes == []

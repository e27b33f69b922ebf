"""By which settings runs are told apart, and what they are called."""

from fedphd.launch.compare.settings import completed, deviations, labels, settings_of, shared, usual


def test_settings_that_leave_the_experiment_as_it_is() -> None:
    here = {"data": {"path": "/here/a.npz", "root": "/here"}, "seed": 0, "runtime": {"name": "ray", "superlink": None}}
    there = {"data": {"path": "/b/a.npz", "root": None}, "seed": 1, "runtime": {"name": "ray", "superlink": "h:1"}}
    assert settings_of(here) == settings_of(there) == {"data.path": "a.npz", "runtime.name": "ray"}
    assert settings_of({"data": {"path": "/here/c.npz"}}) == {"data.path": "c.npz"}


def test_settings_shared_and_different() -> None:
    rows = [
        {"method": "a", "rounds": "9", "training.lr": "0.1"},
        {"method": "b", "rounds": "9", "training.lr": "0.1", "assignment.a": "5"},
        {"method": "c", "rounds": "9", "training.lr": "0.2", "assignment.a": "5"},
    ]
    assert shared(rows) == {"rounds": "9"}
    assert usual(rows) == {"training.lr": "0.1", "assignment.a": "5"}
    assert [deviations(row, usual(rows)) for row in rows] == [
        {"assignment.a": "(unset)"},
        {},
        {"training.lr": "0.2"},
    ]


def test_labels() -> None:
    lanes = [f"codec.{hop}.{way}.kind" for hop in ("access", "backbone") for way in ("down", "up")]

    def row(method: str, codec: str = "float32", up: str | None = None, **others: str) -> dict[str, str]:
        return {"method": method, **dict.fromkeys(lanes, codec), lanes[1]: up or codec, "lr": "0.1", **others}

    assert labels([row("fedavg"), row("fedphd", "int8")]) == ["fedavg", "fedphd"]
    assert labels([row("fedphd"), row("fedphd", "int8")]) == ["fedphd codec=float32", "fedphd codec=int8"]
    assert labels([row("fedavg", lr="0.2"), row("fedphd"), row("fedphd", lr="0.3")]) == [
        "fedavg",
        "fedphd lr=0.1",
        "fedphd lr=0.3",
    ]
    # The structure's choice alone does not tell the last two apart.
    pruned = {"pruning.kind": "at_start"}
    rows = [
        row("a", **{"pruning.kind": "none", "pruning.ratio": "0.0"}),
        row("a", **pruned, **{"pruning.ratio": "0.2"}),
        row("a", **pruned, **{"pruning.ratio": "0.4"}),
    ]
    assert labels(rows) == [
        "a pruning=none",
        "a pruning=at_start pruning.ratio=0.2",
        "a pruning=at_start pruning.ratio=0.4",
    ]
    one_way = labels([row("a"), row("a", "float32", up="int4")])
    assert one_way == ["a codec=float32", "a codec.access.up.kind=int4"]


def test_settings_that_are_newer_than_a_run_have_their_defaults() -> None:
    old = {"sampler.kind": "dpm_solver", "sampler.steps": "9", "model.name": "digits8"}
    keys = [
        "sampler.guidance",
        "sampler.eta",
        "sampler.spacing",
        "model.classes",
        "model.adapters.kind",
        "assignment.a",
    ]
    assert completed(old, keys) == {
        **old,
        "sampler.guidance": "1.0",
        "model.classes": "null",
        "model.adapters.kind": "none",
    }  # of this sampler, without eta; the spacing has to be given
    assert completed({"sampler.guidance": "3.0"}, keys)["sampler.guidance"] == "3.0"

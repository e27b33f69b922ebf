"""What Hydra refuses, said in one line; and a folder of one's own choices."""

import shlex
from pathlib import Path

import pytest

from fedphd.common.errors import FedPhDError, SettingError
from fedphd.launch.composing import compose
from fedphd.launch.ending import UsageError
from fedphd.launch.known import groups, settings


@pytest.mark.parametrize(
    ("overrides", "error", "text"),
    [
        (["roundss=3"], SettingError, "roundss=3: there is no such setting; did you mean rounds?"),
        (["methd=fedavg"], SettingError, "methd=fedavg: there is no such setting; did you mean method?"),
        (["method=fedavgg"], SettingError, "method=fedavgg: there is no such choice; did you mean fedavg? use one of"),
        (["method=zzz"], SettingError, "method=zzz: there is no such choice; use one of centralised, fedavg"),
        (["trainng.lr=1"], SettingError, "trainng.lr=1: there is no such setting; did you mean training.lr?"),
        (["lr=1"], SettingError, "did you mean correction.lr or training.lr?"),
        (["training.bogus=1"], SettingError, "training.bogus=1: there is no such setting; see conf/config.yaml"),
        (["partition.bogus=1"], SettingError, "see conf/partition/"),
        (["partition=iid", "partition.alpha=1"], SettingError, "only partition=dirichlet or partition=quantity has it"),
        (["exchange=null"], UsageError, "exchange=null: a group takes one of its choices by name"),
        (["method=fedavg,moon"], UsageError, "several choices need a sweep: fedphd -m group=one,other"),
        (["rounds=3", "edges"], UsageError, "edges: a setting is given as group=choice or group.key=value"),
        (["rounds=${nothing}"], UsageError, "nothing"),
    ],
)
def test_what_was_wrong_is_said_in_one_line(overrides: list[str], error: type[FedPhDError], text: str) -> None:
    with pytest.raises(error) as raised:
        compose(overrides)
    assert text in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_only_the_group_that_got_a_value_is_named() -> None:
    with pytest.raises(UsageError, match=r"^data=null: a group takes one of its choices by name"):
        compose(["rounds=4", "data=null"])


def test_the_known_settings_are_those_of_the_yaml_files() -> None:
    assert "fedavg" in groups()["method"] and "digits" in groups()["data"]
    assert settings()["rounds"] == [] and settings()["training.lr"] == []
    assert settings()["partition.alpha"] == ["partition=dirichlet", "partition=quantity"]
    assert settings()["model.adapters.rank"] == ["adapters=lora"]
    assert "method.method" not in settings()  # it sets what other groups have
    assert {"model=digits8", "model=ldm256"} <= set(settings()["model.unet.dropout"])  # and a model what fits it
    assert settings()["model.unet.attn_norm_num_groups"] == ["model=ldm256"]
    assert "model.training.lr" not in settings()


def test_a_folder_of_ones_own_adds_choices(tmp_path: Path) -> None:
    (tmp_path / "partition").mkdir()
    (tmp_path / "partition" / "mine.yaml").write_text("kind: dirichlet\nalpha: 0.25\nmin_samples: 3\n")
    config = compose([f"hydra.searchpath=[{tmp_path}]", "partition=mine"])
    assert config.model_dump()["partition"]["alpha"] == 0.25


@pytest.mark.parametrize(
    "path",
    [
        "/tmp/with space & =sign,comma [x]",
        *("/a/b,c", "/a/b=c", "/a/(b)", "/a/it's", "/a/{b}", "/a/b#c", '/a/b"c', "/a/b'\"c", "/a/,b\\", "/a/ü"),
    ],
)
def test_a_path_with_signs_is_shown_in_the_quotes_that_it_needs(path: str) -> None:
    data = ["data=folder", "data.size=8"]
    with pytest.raises(SettingError) as raised:
        compose([*data, f"data.path={path}"])
    told, _, quoted = str(raised.value).partition(": has characters that Hydra takes in quotes only: ")
    assert told == f"data.path={path}"
    assert str(compose([*data, *shlex.split(quoted)]).model_dump()["data"]["path"]) == path


def test_a_list_that_cannot_be_read() -> None:
    with pytest.raises(
        SettingError, match=r"^data\.classes=\[Bücher\]: is no list or mapping that Hydra can read; text"
    ):
        compose(["data=folder", "data.size=8", "data.path=/a", "data.classes=[Bücher]"])

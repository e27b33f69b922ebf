"""How many classes a model is told, before anything starts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import small_config

from fedphd.client.latents import training_set
from fedphd.client.place import Place
from fedphd.common.config import Config, compose, from_yaml, to_yaml
from fedphd.common.data import holder_data
from fedphd.common.errors import SettingError
from fedphd.launch.classes import with_classes
from fedphd.launch.preflight import check, make_ready
from fedphd.launch.resume import from_resumed

LABELS = "model.classes=labels"
CPU = torch.device("cpu")


def test_the_images_say_how_many_and_the_configuration_carries_it(tmp_path: Path) -> None:
    config, notes = make_ready(small_config(LABELS), tmp_path / "run")
    assert config.model.number_of_classes == 10
    assert from_yaml(to_yaml(config)).model.unet["num_class_embeds"] == 11
    assert notes == []
    assert with_classes(config) == config


def test_without_labels_nothing_is_set() -> None:
    config = small_config()
    assert with_classes(config) is config
    assert config.model.number_of_classes is None


def test_a_run_is_resumed_with_the_settings_that_began_it(tmp_path: Path) -> None:
    config = with_classes(small_config(LABELS))
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    tree = small_config(LABELS, f"checkpoint.resume={tmp_path}").model_dump(
        mode="json", by_alias=True, exclude_unset=True
    )
    resumed = from_resumed(tree)
    assert resumed is not None
    assert resumed.model == config.model
    tree["model"]["classes"] = None
    with pytest.raises(SettingError, match=r"^model\.classes=null: the run to resume has labels"):
        from_resumed(tree)


def test_another_number_than_there_are_is_refused() -> None:
    with pytest.raises(SettingError, match=r"^model\.unet\.num_class_embeds=10: the images have 10 classes.*: 11"):
        check(small_config(LABELS, "+model.unet.num_class_embeds=10"))


def test_images_of_one_class_have_nothing_to_tell(tmp_path: Path) -> None:
    images = np.zeros((20, 8, 8), np.uint8)
    np.savez(tmp_path / "one.npz", train_x=images, train_y=np.zeros(20, int), test_x=images, test_y=np.zeros(20, int))
    with pytest.raises(SettingError, match=r"^model\.classes=labels: the images are all of one class"):
        check(small_config(LABELS, "data=npz", f"data.path={tmp_path / 'one.npz'}"))


def own_images(folder: Path, *classes: list[str]) -> list[str]:
    """Write images of each client's own, of its own classes, and of all classes for the root."""
    every = sorted({name for own in classes for name in own})
    for holder, names in {"root": every, **{f"client-{n}": own for n, own in enumerate(classes)}}.items():
        labels = np.repeat(np.arange(len(names)), 10)
        np.savez(
            folder / f"{holder}.npz", images=np.zeros((len(labels), 8, 8), np.uint8), labels=np.array(names)[labels]
        )
    return ["data=npz", f"data.path={folder}", "partition=own", f"topology.clients={len(classes)}"]


def place(config: Config, index: int, folder: Path) -> Place:
    data = holder_data(config, f"client-{index}")
    return Place(config.model_copy(update={"data": data}), index, folder, folder)


def test_clients_that_lack_classes_number_them_alike(tmp_path: Path) -> None:
    own = own_images(tmp_path, ["a", "b"], ["b", "c"], ["c"], ["a"])
    config = with_classes(small_config(LABELS, *own))
    assert config.model.number_of_classes == 3
    assert config.data.fixed_classes == ("a", "b", "c")
    second, third = (training_set(place(config, index, tmp_path), CPU) for index in (1, 2))
    assert second.labels.tolist() == [1] * 10 + [2] * 10  # type: ignore[union-attr]
    assert third.labels.tolist() == [2] * 10  # type: ignore[union-attr]


@pytest.mark.parametrize("other", ["1", "image"])
def test_clients_that_number_what_others_name_are_refused(tmp_path: Path, other: str) -> None:
    own = own_images(tmp_path, ["cat", "dog"], [other])
    root = np.array(["cat", "dog"])
    np.savez(tmp_path / "root.npz", images=np.zeros((2, 8, 8), np.uint8), labels=root)
    kind = "none" if other == "image" else "numbers"
    told = rf"^data\.classes=null: client-1: its classes are {kind} \({other}\), and those of root words \(cat, dog\): "
    with pytest.raises(SettingError, match=told):
        with_classes(small_config(LABELS, *own))


def test_where_clients_are_elsewhere_the_user_names_the_classes(tmp_path: Path) -> None:
    own = ["data=npz", f"data.path={tmp_path}", "partition=own", "runtime=deployment", "runtime.insecure=true"]
    with pytest.raises(SettingError, match=r"^data\.classes=null: each client brings its own images"):
        with_classes(compose([LABELS, *own]))
    config = with_classes(compose([LABELS, *own, "data.classes=[a,b,c,d]"]))
    assert config.model.number_of_classes == 4


def test_images_that_are_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^data\.path=.*: no such file or folder"):
        check(small_config(LABELS, "data=npz", f"data.path={tmp_path / 'none.npz'}"))


def test_guidance_without_classes_does_nothing_and_says_so() -> None:
    [note] = check(small_config("sampler.guidance=2")).notes
    assert note.startswith("sampler.guidance=2 has no effect with model.classes=null")
    assert check(small_config("sampler.guidance=2", LABELS)).notes == []

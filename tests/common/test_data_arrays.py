"""NumPy files as users have them: names, labels, depths and layouts of many kinds, and what is told of the others."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from fedphd.common.data import DATA_SETS, DataSet, ImageSet, load
from fedphd.common.data.arrays import stored
from fedphd.common.data.arrays.archive import Archive
from fedphd.common.errors import SettingError

RNG = np.random.default_rng(11)
N = 12
GREY = RNG.integers(0, 256, (N, 6, 6), np.uint8)
COLOUR = RNG.integers(0, 256, (N, 6, 6, 3), np.uint8)
LABELS = np.arange(N) % 3


def data_set(path: Path, **options: object) -> DataSet:
    return DATA_SETS.read({"kind": "npz", "path": path, "holdout": 0.25, **options})


def save(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(folder / "own.npz", **arrays)
    return folder / "own.npz"


def read(
    folder: Path, split: str = "train", options: dict[str, object] | None = None, **arrays: np.ndarray
) -> ImageSet:
    load.cache_clear()  # the file is another one
    return load(data_set(save(folder, **arrays), **({"holdout": 0.0} | (options or {}))), split, 0)


def refused(folder: Path, options: dict[str, object] | None = None, **arrays: np.ndarray) -> str:
    with pytest.raises(SettingError) as caught:
        read(folder, "train", options, **arrays).images()
    return str(caught.value)


# --- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train_x", "train_y"),
        ("x_train", "y_train"),
        ("X_train", "y_train"),
        ("train_images", "train_labels"),
        ("images", "labels"),
        ("x", "y"),
        ("X", "y"),
        ("data", "targets"),
        ("data", "labels"),
        ("arr_0", "arr_1"),
    ],
)
def test_usual_names(tmp_path: Path, images: str, labels: str) -> None:
    found = read(tmp_path, **{labels: LABELS, images: GREY})
    np.testing.assert_array_equal(found.images()[:, 0], GREY)
    assert found.labels.tolist() == LABELS.tolist()
    plain = images == "train_x"
    assert found.notes == (() if plain else (f"{images} and {labels} are trained on",))


@pytest.mark.parametrize(
    ("pattern", "word"), [("{}_x {}_y", "test"), ("x_{} y_{}", "test"), ("{}_images {}_labels", "val")]
)
def test_what_an_archive_itself_holds_out(tmp_path: Path, pattern: str, word: str) -> None:
    train, holdout = (pattern.format(one, one).split() for one in ("train", word))
    arrays = {train[0]: GREY, train[1]: LABELS, holdout[0]: GREY[:2] + 1, holdout[1]: np.array([0, 3])}
    found = read(tmp_path, "holdout", **arrays)
    np.testing.assert_array_equal(found.images()[:, 0], GREY[:2] + 1)
    assert (found.class_names, found.labels.tolist()) == (("0", "1", "2", "3"), [0, 3])
    assert len(load(data_set(tmp_path / "own.npz"), "train", 0)) == N  # no share of it is held out


def test_names_as_medmnist_has_them(tmp_path: Path) -> None:
    """... with a column of labels and a third part, which is not used."""
    parts = {"train": N, "val": 4, "test": 2}
    arrays = {f"{part}_images": GREY[:count] for part, count in parts.items()}
    arrays |= {f"{part}_labels": LABELS[:count, None].astype(np.uint8) for part, count in parts.items()}
    assert [len(read(tmp_path, split, **arrays)) for split in ("train", "holdout")] == [N, 2]
    assert read(tmp_path, **arrays).notes == (
        "train_images and train_labels are trained on; test_images and test_labels are held out",
        "not used: val_images, val_labels",
    )


def test_other_names_are_given(tmp_path: Path) -> None:
    arrays = {"scans": GREY, "diagnosis": LABELS}
    told = refused(tmp_path, **arrays)
    assert "own.npz: has no images under a usual name; it has scans, diagnosis; name its arrays by data.images" in told
    options = {"images": "scans", "labels": "diagnosis"}
    assert read(tmp_path, options=options, **arrays).notes == ("scans and diagnosis are trained on",)
    told = refused(tmp_path, features=GREY, targets=LABELS)
    assert told.endswith("lacks data; it has features, targets; or give the name of its images by data.images")
    assert "lacks scan; it has" in refused(tmp_path, {"images": "scan"}, **arrays)


def test_images_without_labels_are_of_one_class(tmp_path: Path) -> None:
    found = read(tmp_path, train_x=GREY)
    assert (found.class_names, set(found.labels.tolist())) == (("image",), {0})
    assert found.notes == ("there are no labels: all images are of one class, image",)
    told = refused(tmp_path, train_x=GREY, diagnosis=LABELS)
    assert "has train_x without labels of a usual name; are they diagnosis? give data.labels" in told


def test_one_array_in_a_file_of_its_own(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", COLOUR)
    found = load(data_set(tmp_path / "own.npy"), "train", 0)
    assert (len(found), found.shape, found.class_names) == (N * 3 // 4, (3, 6, 6), ("image",))
    assert found.notes[0] == "the array is trained on"


# --- labels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS[:, None], "0 1 2"),
        (LABELS.astype(float), "0 1 2"),
        (LABELS > 0, "0 1"),
        (np.eye(3, dtype=int)[LABELS], "0 1 2"),
        (np.eye(3, dtype=np.float32)[LABELS], "0 1 2"),
        (np.array(["cat", "dog", "bird"])[LABELS], "bird cat dog"),
        (np.array([b"cat", b"dog", b"bird"])[LABELS], "bird cat dog"),
        (np.array(["10", "9", "cat"])[LABELS], "9 10 cat"),
        (np.array([10, 9, 2])[LABELS], "2 9 10"),
    ],
)
def test_labels_of_many_kinds(tmp_path: Path, labels: np.ndarray, names: str) -> None:
    found = read(tmp_path, train_x=GREY, train_y=labels)
    assert found.class_names == tuple(names.split())
    flat = labels.argmax(1) if labels.shape[1:] == (3,) else labels.reshape(-1)
    texts = [one.decode() if isinstance(one, bytes) else str(one) for one in flat.tolist()]
    texts = [{"True": "1", "False": "0"}.get(text, text.removesuffix(".0")) for text in texts]
    assert [found.class_names[label] for label in found.labels] == texts


def test_labels_from_one_make_no_empty_class(tmp_path: Path) -> None:
    found = read(tmp_path, train_x=GREY, train_y=LABELS + 1)
    assert (found.class_names, np.bincount(found.labels).tolist()) == (("1", "2", "3"), [4, 4, 4])
    [note] = found.notes
    assert note.startswith("no image here has the label 0: such a label is a class only if another holder has it")
    listed = read(tmp_path, options={"classes": ["0", "1", "2", "3"]}, train_x=GREY, train_y=LABELS + 1)
    assert (listed.class_names, listed.notes) == (("0", "1", "2", "3"), ())


def test_names_of_the_users_for_numbers(tmp_path: Path) -> None:
    """... and for classes of which this holder has no image; whole numbers are names themselves."""
    for classes, labels in (("cat dog bird", LABELS), ("0 1 2 3", LABELS), ("3 2 1", LABELS + 1)):
        found = read(tmp_path, options={"classes": classes.split()}, train_x=GREY, train_y=labels)
        assert found.class_names == tuple(classes.split())
        expected = [3 - label for label in LABELS + 1] if classes == "3 2 1" else LABELS.tolist()
        assert found.labels.tolist() == expected
    told = refused(tmp_path, {"classes": ["cat", "dog"]}, train_x=GREY, train_y=LABELS)
    assert "has labels from 0 to 2, and data.classes names the numbers 0 to 1; add names, or count from 0" in told
    told = refused(tmp_path, {"classes": ["0", "1"]}, train_x=GREY, train_y=LABELS)
    assert told == "data.classes=[0,1]: own.npz has 4 images of class 2; add it, or remove its images"
    texts = np.array(["cat", "dog", "bird"])[LABELS]
    told = refused(tmp_path, {"classes": ["cat", "horse"]}, train_x=GREY, train_y=texts)
    assert told.endswith("own.npz has 4 images of class bird, and of 1 more such class; add it, or remove its images")


def test_text_in_any_form_of_unicode_is_one_class(tmp_path: Path) -> None:
    """... in the form that `data.classes` and the names of folders have."""
    texts = np.array(["O\u0308l", "\u00d6l", "cat"])[LABELS]
    for classes in (None, ["O\u0308l", "cat"]):
        found = read(tmp_path, options={"classes": classes}, train_x=GREY, train_y=texts)
        assert sorted(found.class_names) == ["cat", "\u00d6l"]
        assert np.bincount(found.labels)[found.class_names.index("cat")] == 4


def test_labels_that_no_client_could_register(tmp_path: Path) -> None:
    many = np.zeros((10_001, 1, 1), np.uint8)
    for pixels, labels, told in (
        (many, np.array([f"caption {number}" for number in range(10_001)]), "has 10,001 classes, at most 10,000 are"),
        (GREY, np.array(["x" * 256] * N), f"has a class of 256 characters, {'x' * 40}..., at most 255"),
        (GREY, np.array(["a\nb"] * N), r"has a class whose name cannot be shown, a\nb"),
    ):
        text = refused(tmp_path, train_x=pixels, train_y=labels)
        assert text.startswith(f"data=npz: {told}") and "are these captions?" in text
    assert len(read(tmp_path, train_x=many[1:], train_y=np.arange(10_000)).class_names) == 10_000


def test_classes_that_yaml_reads_as_numbers(tmp_path: Path) -> None:
    assert data_set(tmp_path, classes=[0, 1]).classes == ("0", "1")


# --- depth -------------------------------------------------------------------------------------------

RAMP = np.linspace(0, 1, N * 36).reshape(N, 6, 6)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((RAMP * 4080).astype(np.uint16), "0 to 4095"),
        ((RAMP * 60_000).astype(np.int32), "0 to 65535"),
        ((RAMP * 1000).round(), "0 to 1023"),
        (RAMP.astype(np.float32), "0 to 1"),
        (RAMP.astype(np.float16), "0 to 1"),
        (RAMP * 2 - 1, "-1 to 1"),
        ((RAMP * 3000 - 1000).astype(np.int16), "-1000 to 2000"),
    ],
)
def test_values_become_bytes_by_a_rule_that_is_told(tmp_path: Path, values: np.ndarray, told: str) -> None:
    found = read(tmp_path, train_x=values, train_y=LABELS)
    low, high = (float(end) for end in told.split(" to "))
    expected = np.rint((values.astype(float) - low) * 255 / (high - low))
    np.testing.assert_array_equal(found.images()[:, 0], expected)
    assert (found.images() == 255).mean() < 0.02
    [note] = found.notes
    assert note.startswith(f"values {told} became 0 to 255 (train_x")


@pytest.mark.parametrize(("values", "top"), [((RAMP * 255).round(), 255), ((RAMP * 255).astype(np.int64), 255)])
def test_bytes_of_another_type_stay(tmp_path: Path, values: np.ndarray, top: int) -> None:
    found = read(tmp_path, train_x=values, train_y=LABELS)
    np.testing.assert_array_equal(found.images()[:, 0], values)
    assert (found.notes, found.images().max()) == ((), top)


def test_truth_values_are_black_and_white(tmp_path: Path) -> None:
    found = read(tmp_path, train_x=GREY > 100, train_y=LABELS)
    np.testing.assert_array_equal(found.images()[:, 0], 255 * (GREY > 100))


def test_both_parts_of_an_archive_have_one_range(tmp_path: Path) -> None:
    arrays = {"train_x": (RAMP * 900).astype(np.uint16), "test_x": (RAMP * 3000).astype(np.uint16)}
    for split, name in (("train", "train_x"), ("holdout", "test_x")):
        found = read(tmp_path, split, **arrays, train_y=LABELS, test_y=LABELS)
        np.testing.assert_array_equal(found.images()[:, 0], np.rint(arrays[name] * (255 / 4095)))


def test_the_user_gives_the_ends(tmp_path: Path) -> None:
    values = (RAMP * 900).astype(np.uint16)
    for depth, high in ((12, 4095), ([0, 450], 450), ([0.0, 1000.0], 1000)):
        found = read(tmp_path, options={"depth": depth}, train_x=values, train_y=LABELS)
        np.testing.assert_array_equal(found.images()[:, 0], np.rint(np.minimum(values, high) * (255 / high)))
        beyond = "" if depth == 12 else "; values beyond are taken for the nearest end"
        assert found.notes == (f"values 0 to {high} of train_x became 0 to 255, as data.depth says{beyond}",)
    for pixels in (GREY, GREY > 100):
        found = read(tmp_path, options={"depth": [0, 10]}, train_x=pixels, train_y=LABELS)
        assert found.notes == ("data.depth has no effect: no array has more than 8 bits",)
    assert refused(tmp_path, {"depth": 9}, train_x=values, train_y=LABELS).startswith("data.depth=9: ")
    for depth in (0, 33, "twelve", [5, 5], [1], True, None):
        with pytest.raises(SettingError, match=r"^data.depth=.*: must be auto, a number of bits from 1 to 32, or \["):
            data_set(tmp_path, depth=depth)


# --- layout ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "read_as"),
    [
        ((5, 7), (1, 5, 7)),
        ((6, 6, 1), (1, 6, 6)),
        ((1, 6, 6), (1, 6, 6)),
        ((6, 6, 3), (3, 6, 6)),
        ((3, 6, 6), (3, 6, 6)),
        ((3, 2, 2), (3, 2, 2)),
        ((2, 2, 3), (3, 2, 2)),
        ((3, 3, 1), (1, 3, 3)),
        ((1, 3, 3), (1, 3, 3)),
        ((1, 1, 1), (1, 1, 1)),
        ((6, 6, 2), (1, 6, 6)),
        ((4, 6, 6), (3, 6, 6)),
    ],
)
def test_where_the_channels_are(tmp_path: Path, shape: tuple[int, ...], read_as: tuple[int, int, int]) -> None:
    pixels = RNG.integers(0, 256, (N, *shape), np.uint8)
    found = read(tmp_path, train_x=pixels, train_y=LABELS)
    assert found.shape == read_as
    assert found.images().shape == (N, *read_as)
    if np.prod(shape) == np.prod(read_as):
        first = shape == read_as and len(shape) == 3
        np.testing.assert_array_equal(
            found.images(), pixels if first else pixels.reshape(N, *read_as[1:], -1).transpose(0, 3, 1, 2)
        )


@pytest.mark.parametrize("shape", [(3, 3, 3), (4, 4, 4), (3, 5, 3)])
def test_channels_that_may_be_first_or_last(tmp_path: Path, shape: tuple[int, ...]) -> None:
    told = refused(tmp_path, train_x=np.zeros((N, *shape), np.uint8), train_y=LABELS)
    assert f"train_x has shape {(N, *shape)}, in which the channels may be first or last" in told


def test_transparency_lies_on_the_background(tmp_path: Path) -> None:
    pixels = np.concatenate([COLOUR, np.full((N, 6, 6, 1), 255, np.uint8)], 3)
    pixels[:, 0, :, 3], pixels[:, 1, :, 3] = 0, 51
    for background, seen in (("white", (255, 255, 255)), ("#ff8000", (255, 128, 0))):
        found = read(tmp_path, options={"background": background}, train_x=pixels, train_y=LABELS)
        image = found.images().transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(image[:, 2:], COLOUR[:, 2:])
        np.testing.assert_array_equal(image[:, 0], np.broadcast_to(seen, (N, 6, 3)))
        np.testing.assert_array_equal(image[:, 1], np.rint(COLOUR[:, 1] * 0.2 + np.array(seen) * 0.8))
        assert found.notes == (f"transparent pixels show data.background={background}",)
    with pytest.raises(SettingError, match=r"^data.background=whitish: is no colour"):
        data_set(tmp_path, background="whitish")


# --- what cannot be read -------------------------------------------------------------------------------

GOOD = {"train_x": np.zeros((4, 2, 2), np.uint8), "train_y": np.arange(4)}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"train_x": None}, "lacks train_x; it has train_y"),
        ({"test_x": GOOD["train_x"]}, "lacks test_y"),
        ({"test_y": GOOD["train_y"]}, "lacks test_x"),
        (
            {"test_x": np.zeros((2, 3, 3), np.uint8), "test_y": np.zeros(2, int)},
            "has images of two shapes, train_x 1x2x2",
        ),
        ({"train_x": np.full((4, 2, 2), np.nan)}, "train_x holds values that are no numbers"),
        ({"train_x": np.zeros((4, 2, 2), complex)}, "train_x is complex128; must be numbers"),
        ({"train_x": np.zeros((4, 4), np.uint8)}, r"train_x has shape \(4, 4\); must be \(N, H, W\)"),
        ({"train_x": np.zeros((4, 5, 2, 6), np.uint8)}, r"train_x has shape \(4, 5, 2, 6\); must be"),
        ({"train_x": np.zeros((4, 0, 2), np.uint8)}, r"train_x has shape \(4, 0, 2\); must have at least one image"),
        ({"train_x": np.zeros((0, 2, 2), np.uint8), "train_y": np.zeros(0, int)}, r"train_x has shape \(0, 2, 2\)"),
        ({"train_x": np.zeros((5, 2, 2), np.uint8)}, "train_x has 5 images, train_y 4 labels; must be as many"),
        ({"train_y": np.zeros(0, int)}, "train_y is empty"),
        ({"train_y": np.zeros((4, 2, 1), int)}, r"train_y is int64 of shape \(4, 2, 1\); must be one number or text"),
        ({"train_y": np.ones((4, 3), int)}, r"train_y of shape \(4, 3\) gives images several classes, none, or shares"),
        ({"train_y": np.arange(4) / 2}, "train_y is float64 with values between whole numbers"),
        ({"train_y": np.array([0, 1, np.nan, 2])}, "train_y runs from nan to nan"),
        ({"train_y": np.arange(-1, 3)}, "train_y runs from -1 to 2; must be class numbers"),
        ({"train_y": np.arange(4) * 10**9}, "train_y runs from 0 to 3000000000"),
        ({"train_y": np.array(["a", "", "b", "c"])}, "train_y has an image with empty text for its class"),
        ({"train_y": np.array([b"\xff"] * 4)}, "train_y has bytes that are no text in UTF-8"),
        ({"train_y": np.array([0, 1, 2, None])}, "train_y holds Python objects, which would have to be unpickled"),
        (
            {"test_x": GOOD["train_x"], "test_y": np.array(["a", "b", "c", "d"])},
            "has numbers for labels in one part and text in another",
        ),
    ],
)
def test_arrays_that_are_not_as_they_must_be(tmp_path: Path, changed: dict[str, np.ndarray], told: str) -> None:
    arrays = {name: array for name, array in (GOOD | changed).items() if array is not None}
    with pytest.raises(SettingError, match=rf"^data.path=.*own.npz: {told}"):
        read(tmp_path, **arrays)


def test_objects_that_nobody_asks_for_are_no_matter(tmp_path: Path) -> None:
    found = read(tmp_path, **GOOD, about=np.array([None, "x"]))
    assert found.notes == ("train_x and train_y are trained on", "not used: about")


def damage(path: Path, name: str) -> None:
    """Turn the last bytes of the deflated numbers over, far from the array's head."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
        extra = int.from_bytes(content[member.header_offset + 28 : member.header_offset + 30], "little")
        end = member.header_offset + 30 + len(member.filename) + extra + member.compress_size
    content[end - 20 : end] = bytes(255 - byte for byte in content[end - 20 : end])
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: damage(path, "train_y"),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: path.unlink(),
    ],
)
def test_files_that_are_not_numpys(tmp_path: Path, spoil) -> None:
    path = save(tmp_path, **GOOD)
    spoil(path)
    with pytest.raises(SettingError, match=r"^data.path=.*own.npz: cannot be read as NumPy's"):
        load(data_set(path), "train", 0)


def test_an_array_that_is_cut_short_is_found_by_its_head(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", GREY)
    whole = (tmp_path / "own.npy").read_bytes()
    (tmp_path / "own.npy").write_bytes(whole[:-1])
    with pytest.raises(SettingError, match=r"own.npy: cannot be read as NumPy's \(the array is cut short\)"):
        load(data_set(tmp_path / "own.npy"), "train", 0)


def test_pixels_are_read_when_they_are_asked_for_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels are counted without them; damaged ones are found by a check."""
    large = RNG.integers(0, 256, (N, 40, 40), np.uint8)  # more than is read of an array to know its head
    path = save(tmp_path, train_x=large, train_y=LABELS)
    asked: list[str] = []

    class Noted(Archive):
        def read(self, name: str) -> np.ndarray:
            asked.append(name)
            return super().read(name)

    monkeypatch.setattr(stored, "Archive", Noted)
    train, holdout = (load(data_set(path), split, 0) for split in ("train", "holdout"))
    assert np.bincount(train.labels).sum() == N - len(holdout)
    assert asked == []
    train.images(), holdout.images(), train.images(np.array([1, 0]))
    assert asked == ["train_x"]
    damage(path, "train_x")
    with pytest.raises(SettingError, match=r"^data.path=.*own.npz: train_x cannot be read as NumPy's"):
        load(data_set(path, holdout=0.5), "train", 0).check()

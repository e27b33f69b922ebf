import numpy as np
import pytest
from PIL import Image

from fedphd.server.evaluation.grid import rows_by_class, save_grid


@pytest.mark.parametrize(
    ("images", "width", "height"),
    [
        # 8x8 is enlarged to 64. 5 images: 3 columns, 2 rows; 3 * (64 + 2) + 2 by 2 * (64 + 2) + 2.
        ((5, 1, 8, 8), 200, 134),
        # 9 images make a full 3x3 square; 28 is enlarged by 3 to 84.
        ((9, 1, 28, 28), 3 * 86 + 2, 3 * 86 + 2),
        # 64x64 stays as it is.
        ((2, 3, 64, 64), 2 * 66 + 2, 68),
    ],
)
def test_size(tmp_path, images, width, height):
    path = tmp_path / "samples" / "grid.png"
    save_grid(np.zeros(images, np.uint8), path)
    with Image.open(path) as picture:
        assert picture.size == (width, height)
    assert [file.name for file in path.parent.iterdir()] == ["grid.png"]


def test_pixels_are_enlarged_in_place_and_order(tmp_path):
    images = np.zeros((3, 1, 32, 32), np.uint8)
    images[1, 0, 31, 0] = 77  # of the second image: bottom left pixel
    images[2] = 200
    save_grid(images, tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as picture:
        grid = np.asarray(picture)[..., 0]
    # Columns start at 2 and 2 + 64 + 2 = 68; one pixel became 2x2, at rows 64 and 65.
    assert np.argwhere(grid == 77).tolist() == [[64, 68], [64, 69], [65, 68], [65, 69]]
    assert (grid[68:132, 2:66] == 200).all()
    assert (grid[:2] == 255).all()


def test_each_class_has_a_row():
    images = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    rows = rows_by_class(images, np.array([1, 0, 1, 1, 0, 1, 3]), classes=4, columns=3)
    assert rows[:, 0, 0, 0].reshape(4, 3).tolist() == [[1, 4, 255], [0, 2, 3], [255, 255, 255], [6, 255, 255]]


def test_rows_are_as_long_as_asked(tmp_path):
    save_grid(np.zeros((6, 1, 8, 8), np.uint8), tmp_path / "grid.png", columns=2)
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.size == (2 * 66 + 2, 3 * 66 + 2)

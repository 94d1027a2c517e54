import cv2
import numpy as np
import pytest
import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.stages.preview import preview_jpeg


@pytest.fixture(scope="module")
def tiles() -> list[np.ndarray]:
    """The six tiles of the mean face's preview, seen frontally at the left edge of a green crop."""
    model = FaceModel.default()
    layout = UvLayout.of(model)
    camera = Camera(torch.zeros(1, 3), torch.tensor([600.0]), torch.tensor([[60.0, 128.0]]))
    vertices = model.mean[layout.vertices]
    points = camera.project(vertices[None])[0]
    green, grey = np.full((256, 256, 3), (0, 200, 0), np.uint8), np.full((256, 256, 3), 90, np.uint8)
    data = preview_jpeg(green, grey, points, vertices, layout.triangles)
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    return [tile for row in np.split(picture, 2, axis=0) for tile in np.split(row, 3, axis=1)]


def test_pictures_are_shown_unchanged(tiles: list[np.ndarray]) -> None:
    assert np.abs(tiles[0].astype(int) - (0, 200, 0)).max() <= 3
    assert np.abs(tiles[2].astype(int) - 90).max() <= 3


def test_overlay_lies_where_the_face_is(tiles: list[np.ndarray]) -> None:
    changed = (np.abs(tiles[1].astype(int) - tiles[0]) > 20).any(-1)
    columns = np.flatnonzero(changed.any(0))
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(59.5, abs=1.5)
    assert changed.sum() > 4000
    assert not changed[:, 130:].any()


def test_clay_shows_the_face_from_both_sides_and_the_front(tiles: list[np.ndarray]) -> None:
    covered = [(tile < 240).all(-1) for tile in tiles[3:]]
    for mask in covered:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert 0.5 * 256 < len(rows) < 0.95 * 256
        assert rows[0] + rows[-1] == pytest.approx(255, abs=6)
        assert columns[0] + columns[-1] == pytest.approx(255, abs=6)
    left, front, right = covered
    assert (left == right[:, ::-1]).mean() > 0.97
    assert (front == front[:, ::-1]).mean() > 0.97
    # The nose sticks out at the side that the face turns to: the first turns to the picture's left.
    middle = slice(110, 150)
    assert left[middle, :128].sum() != left[middle, 128:].sum()
    assert np.flatnonzero(left[middle].any(0))[0] <= np.flatnonzero(left.any(0))[0] + 3

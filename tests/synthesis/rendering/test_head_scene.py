import numpy as np
import pytest

from facerecon_ray.synthesis.rendering.head_scene import Part

TRIANGLE = np.eye(3, dtype=np.float32)
CORNERS = np.array([[0, 1, 2]])
TEXTURE = np.zeros((4, 4, 3), np.uint8)


def test_a_part_says_which_of_its_arrays_does_not_fit() -> None:
    with pytest.raises(ValueError, match="'hat': uv must have one row for each of 3 vertices"):
        Part(TRIANGLE, CORNERS, np.zeros((2, 2)), TEXTURE, name="hat")


def test_a_part_takes_textures_of_bytes_only() -> None:
    with pytest.raises(ValueError, match="uint8 RGB or RGBA"):
        Part(TRIANGLE, CORNERS, np.zeros((3, 2)), TEXTURE.astype(np.float32))

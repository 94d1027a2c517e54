from dataclasses import replace

import numpy as np
import pytest
import trimesh

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.scan import Scan, checked, decimated
from facerecon_ray.geometry.mesh_picture import MeshColours
from facerecon_ray.geometry.surface import Surface

SPHERE = trimesh.creation.icosphere(6, 100.0)
RED_ABOVE = np.where(SPHERE.vertices[:, 1:2] > 0, np.array([[255, 0, 0]], np.uint8), np.array([[0, 0, 255]], np.uint8))
SCAN = Scan(np.array(SPHERE.vertices), np.array(SPHERE.faces, np.int64), MeshColours(vertex=RED_ABOVE))


def test_a_scan_is_thinned_to_about_the_wanted_size_and_keeps_its_place_and_colours() -> None:
    thin = decimated(SCAN, 20_000)
    assert 10_000 < len(thin.triangles) < 26_000
    assert Surface(SCAN.vertices, SCAN.triangles).distance(thin.vertices).max() < 1.0
    assert thin.colours.vertex is not None
    assert (thin.colours.vertex[thin.vertices[:, 1] > 5] == (255, 0, 0)).all()


def test_thinning_a_texture_samples_it() -> None:
    texture = np.zeros((4, 4, 3), np.uint8)
    texture[:2] = (9, 99, 199)
    uv = np.column_stack([np.full(len(SCAN.vertices), 0.5), 0.5 - SCAN.vertices[:, 1] / 250]).astype(np.float32)
    thin = decimated(replace(SCAN, colours=MeshColours(uv=uv, textures=(texture,))), 20_000)
    assert thin.colours.vertex is not None
    assert np.abs(thin.colours.vertex[thin.vertices[:, 1] > 50] - np.array([9, 99, 199])).max() <= 1


def test_a_small_scan_stays_as_it_is() -> None:
    assert decimated(SCAN, 10**6) is SCAN


def test_triangles_that_name_missing_vertices_are_refused() -> None:
    with pytest.raises(InputError, match="name vertices that are not there"):
        checked(replace(SCAN, triangles=SCAN.triangles + 5))


def test_triangles_without_an_area_are_left_out() -> None:
    flat = np.repeat(SCAN.triangles[:50, :1], 3, axis=1)
    assert len(checked(replace(SCAN, triangles=np.vstack([SCAN.triangles, flat]))).triangles) == len(SCAN.triangles)

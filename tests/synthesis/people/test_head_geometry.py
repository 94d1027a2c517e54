import numpy as np
import torch

from facerecon_ray.geometry.rasterizer import rasterize
from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.head_geometry import ISLANDS, TEXTURE_SIZE, HeadGeometry
from facerecon_ray.synthesis.people.head_topology import fit_sphere


def test_no_two_triangles_share_a_texel_of_the_atlas(geometry: HeadGeometry) -> None:
    uv, triangles = geometry.skin.uv, geometry.skin.triangles
    assert uv.min() >= 0
    assert uv.max() <= 1
    a, b, c = (uv[triangles[:, k]].astype(float) * TEXTURE_SIZE for k in range(3))
    ab, ac = b - a, c - a
    area = 0.5 * np.abs(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]).sum()
    points = torch.from_numpy(np.pad(uv * TEXTURE_SIZE, ((0, 0), (0, 1))).astype(np.float32))[None]
    covered = int(rasterize(points, torch.from_numpy(triangles), TEXTURE_SIZE, TEXTURE_SIZE).mask.sum())
    assert abs(area - covered) < 0.01 * area
    assert covered > 0.7 * TEXTURE_SIZE**2


def test_texture_is_upright_and_its_right_is_the_subjects_left(geometry: HeadGeometry) -> None:
    marks = geometry.maps.texels_of(geometry.landmarks)
    assert marks[8, 1] > marks[57, 1] > marks[33, 1] > marks[27, 1] > marks[19, 1], "chin, lip, nose, bridge, brow"
    assert marks[45, 0] > marks[42, 0] > marks[39, 0] > marks[36, 0], "from the right eye to the left"
    mirrored = marks[[45, 44, 43, 42]] * (-1, 1) + (TEXTURE_SIZE, 0)
    assert np.abs(mirrored - marks[36:40]).max() < 3


def test_atlas_knows_which_place_of_the_head_each_texel_shows(geometry: HeadGeometry) -> None:
    maps, skin = geometry.maps, geometry.skin
    column, row = (skin.uv * TEXTURE_SIZE).astype(int).clip(0, TEXTURE_SIZE - 1).T
    distance = np.linalg.norm(maps.place[row, column] - geometry.average[skin.source], axis=1)
    assert np.median(distance) < 0.001
    sides = {name: maps.place[maps.covered & (maps.island == k), 0] for k, name in enumerate(ISLANDS)}
    assert sides["right socket"].max() < 0 < sides["left socket"].min()
    np.testing.assert_allclose(np.linalg.norm(maps.normal, axis=-1), 1.0, atol=1e-4)


def test_parts_are_the_whole_head_once(geometry: HeadGeometry, sampler: HeadSampler) -> None:
    meshes = [geometry.skin, *geometry.eyes, geometry.tongue]
    used = np.concatenate([mesh.source[mesh.triangles] for mesh in meshes])
    assert sorted(map(tuple, used.tolist())) == sorted(map(tuple, sampler.triangles.tolist()))
    right, left = (geometry.average[eye.source, 0].mean() for eye in geometry.eyes)
    assert right < 0 < left


def test_model_vertices_are_the_skins(geometry: HeadGeometry) -> None:
    known = geometry.model_vertex >= 0
    surface = geometry.surface(geometry.average)
    np.testing.assert_array_equal(surface[geometry.model_vertex[known]], geometry.average[geometry.skin.source[known]])
    assert known.mean() > 0.6


def test_closed_lids_lie_over_the_eyeballs(geometry: HeadGeometry) -> None:
    still = np.zeros(geometry.heads.shape_size)
    closed = geometry.heads.head(still, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    lifted = geometry.lids_over_eyes(closed)
    for cap in geometry.topology.caps[:2]:
        centre, radius = (value[0] for value in fit_sphere(lifted[None, cap.eyeball].astype(float)))
        assert np.linalg.norm(lifted[cap.rim] - centre, axis=1).min() > radius + 0.0005
    moved = np.linalg.norm(lifted - closed, axis=1)
    assert moved.max() < 0.006
    assert (moved > 0).mean() < 0.1

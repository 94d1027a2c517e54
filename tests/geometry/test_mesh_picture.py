import numpy as np
import torch

from facerecon_ray.geometry.mesh_picture import MeshColours, mesh_picture

SQUARE = torch.tensor([[[16.0, 16.0, 0.0], [48.0, 16.0, 0.0], [48.0, 48.0, 0.0], [16.0, 48.0, 0.0]]])
TRIANGLES = torch.tensor([[0, 2, 1], [0, 3, 2]])
CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
QUARTERS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8).repeat(8, 0).repeat(8, 1)


def test_a_texture_lies_as_its_coordinates_say() -> None:
    picture = mesh_picture(SQUARE, TRIANGLES, MeshColours(uv=CORNERS, textures=(QUARTERS,)), 64)
    assert picture[20, 20].tolist() == [255, 0, 0]
    assert picture[20, 44].tolist() == [0, 255, 0]
    assert picture[44, 20].tolist() == [0, 0, 255]
    assert picture[4, 4].tolist() == [128, 128, 128]


def test_coordinates_beyond_the_border_repeat_the_texture_and_the_border_itself_does_not() -> None:
    shifted = mesh_picture(SQUARE, TRIANGLES, MeshColours(uv=CORNERS + np.float32([3, -2]), textures=(QUARTERS,)), 64)
    plain = mesh_picture(SQUARE, TRIANGLES, MeshColours(uv=CORNERS, textures=(QUARTERS,)), 64)
    np.testing.assert_array_equal(shifted[18:46, 18:46], plain[18:46, 18:46])
    edge = MeshColours(uv=np.ones((4, 2), np.float32), textures=(QUARTERS,))
    assert edge.at_vertices().tolist() == [[255, 255, 255]] * 4  # type: ignore[union-attr]


def test_colours_of_vertices_are_blended() -> None:
    colours = np.array([[0, 0, 0], [200, 0, 0], [200, 0, 0], [0, 0, 0]], np.uint8)
    row = mesh_picture(SQUARE, TRIANGLES, MeshColours(vertex=colours), 64)[32, 17:47, 0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert abs(row[15] - 100) < 8


def test_light_makes_what_faces_it_brighter_and_needs_normals() -> None:
    colours = MeshColours(vertex=np.full((4, 3), 120, np.uint8))
    unlit = mesh_picture(SQUARE, TRIANGLES, colours, 64)[32, 32, 0]
    towards = torch.tensor([[[0.0, 0.0, 1.0]] * 4])
    aside = torch.tensor([[[0.95, 0.0, 0.31]] * 4])
    facing, averted = (mesh_picture(SQUARE, TRIANGLES, colours, 64, normals=n)[32, 32, 0] for n in (towards, aside))
    assert unlit == 120
    assert facing > averted

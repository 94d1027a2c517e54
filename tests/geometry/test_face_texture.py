import numpy as np
import pytest
import torch

from facerecon_ray.geometry.crop_transform import photo_bounds
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.face_texture import face_textures
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.shading import vertex_normals

SCALE = 900.0


@pytest.fixture(scope="module")
def layout() -> UvLayout:
    return UvLayout.of(FaceModel.default())


def posed(yaw: float) -> torch.Tensor:
    """(1, N, 3) the mean head in the crop."""
    camera = Camera(torch.tensor([[yaw, 0.0, 0.0]]), torch.tensor([SCALE]), torch.tensor([[128.0, 128.0]]))
    return camera.project(FaceModel.default().mean[None])


def texture_of(
    layout: UvLayout, points: torch.Tensor, photo: torch.Tensor, bounds: torch.Tensor | None = None
) -> torch.Tensor:
    """(S, S, 3) texture from a photo (3, S, S)."""
    picture = photo.permute(1, 2, 0).round().byte().numpy()
    (texture,) = face_textures(layout, layout.position_map(points), [picture], torch.tensor([SCALE]), bounds)
    return torch.from_numpy(texture).float()


def test_nothing_is_taken_from_beyond_the_photo(layout: UvLayout) -> None:
    photo = torch.full((3, 256, 256), 200.0)
    photo[..., 128:] = 0.0
    points = posed(0.0)
    whole = texture_of(layout, points, photo)[layout.mask]
    bounds = torch.from_numpy(photo_bounds(np.eye(2, 3)[None], np.array([127]), np.array([256])))
    cut = texture_of(layout, points, photo, bounds)[layout.mask]
    assert (whole < 100.0).float().mean() > 0.4
    assert (cut > 190.0).float().mean() > 0.99


def place_picture(side: int = 256) -> torch.Tensor:
    """A photo that shows its own x and y as red and green, of 256 and less 0.5, and 50 as blue."""
    centres = (torch.arange(side) + 0.5) * (256 / side) - 0.5
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x, y, torch.full_like(x, 50.0)])


def facing_of(layout: UvLayout, points: torch.Tensor) -> torch.Tensor:
    normals = vertex_normals(points[:, layout.vertices], layout.triangles)
    facing = torch.zeros(256, 256)
    facing[layout.mask] = layout.over_pixels(normals[..., 2:])[0, :, 0]
    return facing


def test_what_faces_the_camera_has_the_photos_own_colours(layout: UvLayout) -> None:
    points = posed(20.0)
    texture = texture_of(layout, points, place_picture())
    expected = layout.position_map(points)[0, ..., :2] * 256 - 0.5
    error = (texture[..., :2] - expected).norm(dim=-1)
    facing = facing_of(layout, points)
    assert error[facing > 0.8].median() < 0.5
    assert (error[facing > 0.8] < 1.0).float().mean() > 0.9
    assert (texture[..., 2] - 50).abs().max() <= 1


def test_a_finer_picture_of_the_same_face_gives_a_finer_texture(layout: UvLayout) -> None:
    points = posed(20.0)
    coarse, fine = (texture_of(layout, points, place_picture(side)) for side in (256, 640))
    assert fine.shape == (640, 640, 3)
    averaged = torch.nn.functional.interpolate(fine.permute(2, 0, 1)[None], (256, 256), mode="area")[0]
    facing = facing_of(layout, points) > 0.8
    assert (averaged.permute(1, 2, 0) - coarse)[facing].abs().mean() < 0.5


def test_a_pattern_that_only_the_finer_picture_holds_is_in_the_texture(layout: UvLayout) -> None:
    """Stripes of one pixel are grey in a picture of half the size."""
    stripes = (torch.arange(512) % 2 * 200.0).expand(3, 512, 512)
    texture = texture_of(layout, posed(0.0), stripes)
    middle = texture[200:312, 200:312, 0]
    assert (middle[:, 1:] - middle[:, :-1]).abs().mean() > 50


def test_the_far_cheek_takes_the_near_cheeks_colours(layout: UvLayout) -> None:
    """At yaw 60 the face looks to the picture's right: its left half is seen, and only skin colours may appear."""
    points = posed(60.0)
    face = layout.position_map(points)[0]
    photo = torch.zeros(3, 256, 256)
    photo[2] = 255.0
    seen = face[facing_of(layout, points) > 0.2][:, :2] * 256
    x, y = seen.long().clamp(0, 255).unbind(-1)
    photo[:, y, x] = torch.tensor([200.0, 120.0, 90.0])[:, None]
    photo = torch.nn.functional.max_pool2d(photo[None], 3, 1, 1)[0] * torch.tensor([1.0, 1.0, 0.0])[:, None, None]
    texture = texture_of(layout, points, photo)
    hidden = facing_of(layout, points) < -0.2
    assert hidden.float().mean() > 0.1
    assert (texture[hidden][:, 0] > 150).float().mean() > 0.95


def test_the_background_does_not_bleed_onto_the_cheeks(layout: UvLayout) -> None:
    """The photo's face is 3 pixels narrower on each side than the mesh."""
    points = posed(0.0)
    middle = points[:, layout.vertices, 0].mean()
    x = torch.arange(256) + 0.5
    half_width = (points[0, layout.vertices, 0] - middle).abs().max()
    skin = (x - middle).abs() < half_width - 3
    photo = (skin * 200.0).expand(3, 256, 256).contiguous()
    texture = texture_of(layout, points, photo)
    assert (texture[layout.mask] > 190).float().mean() > 0.999

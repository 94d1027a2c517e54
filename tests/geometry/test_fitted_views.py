import torch
from torch import Tensor

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitted_views import FittedViews
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.rasterizer import interpolate, rasterize
from facerecon_ray.geometry.turned_view import facing_camera, second_camera

MODEL = FaceModel.default()
LAYOUT = UvLayout.of(MODEL)
ANGLES = torch.tensor([[10.0, 15.0, -8.0], [-50.0, 0.0, 12.0]])
CAMERA = Camera(ANGLES, torch.tensor([850.0, 900.0]), torch.tensor([[130.0, 120.0], [120.0, 135.0]]))
HEADS = MODEL.mean.expand(2, -1, -1)


def painted(camera: Camera) -> Tensor:
    """(B, 3, 256, 256) heads in colours that say which point of the mean head is where."""
    colours = (MODEL.mean - MODEL.mean.amin(0)) / (MODEL.mean.amax(0) - MODEL.mean.amin(0))
    fragments = rasterize(camera.project(HEADS), MODEL.triangles, 256, 256, cull_back=True)
    return interpolate(fragments, MODEL.triangles, colours).permute(0, 3, 1, 2)


def turned(keep_pitch: bool) -> Camera:
    return second_camera(MODEL, CAMERA, HEADS, 30.0, keep_pitch)


def well_seen(camera: Camera) -> Tensor:
    """(B, P) UV pixels of the mask whose point looks towards the camera."""
    facing = facing_camera(camera.project(HEADS), MODEL.triangles)[:, LAYOUT.vertices]
    return LAYOUT.over_pixels(facing)[..., 0] > 0.6


def well_seen_map(camera: Camera) -> Tensor:
    """(B, 256, 256) the same as a map."""
    seen = torch.zeros(len(camera.scale), *LAYOUT.mask.shape, dtype=torch.bool)
    seen[:, LAYOUT.mask] = well_seen(camera)
    return seen


def test_both_views_show_each_point_of_the_face_at_its_place_of_the_uv_square() -> None:
    colours = (MODEL.mean - MODEL.mean.amin(0)) / (MODEL.mean.amax(0) - MODEL.mean.amin(0))
    expected = LAYOUT.over_pixels(colours[LAYOUT.vertices][None])
    for keep_pitch in (False, True):
        other = turned(keep_pitch)
        views = torch.cat([painted(CAMERA), painted(other)], 1)
        _, seen = FittedViews(LAYOUT)(views, (CAMERA, HEADS), (other, HEADS))
        assert seen.shape == (2, 9, 256, 256)
        for first, camera in ((0, CAMERA), (3, other)):
            found = seen[:, first : first + 3].permute(0, 2, 3, 1)[:, LAYOUT.mask]
            error = (found - expected).norm(dim=-1)[well_seen(camera)]
            # A pixel of the crop is a hundredth of the head; lips and lids hide some points.
            assert error.median() < 0.004
            assert (error < 0.02).float().mean() > 0.97


def test_another_photo_is_laid_out_by_its_own_camera_and_head() -> None:
    other = Camera(ANGLES.flip(0), CAMERA.scale * 1.1, CAMERA.translation - 9.0)
    views = torch.cat([painted(CAMERA), painted(other)], 1)
    _, seen = FittedViews(LAYOUT)(views, (CAMERA, HEADS), (other, HEADS))
    both = LAYOUT.mask & well_seen_map(CAMERA) & well_seen_map(other)
    difference = (seen[:, :3] - seen[:, 3:6]).norm(dim=1)[both]
    assert len(difference) > 5000 and difference.median() < 0.004


def test_a_shifted_fit_shifts_what_is_seen() -> None:
    views = torch.cat([painted(CAMERA)] * 2, 1)
    lay_out = FittedViews(LAYOUT)
    right = lay_out(views, (CAMERA, HEADS), (CAMERA, HEADS))[1]
    off = Camera(ANGLES, CAMERA.scale, CAMERA.translation + torch.tensor([6.0, 0.0]))
    wrong = lay_out(views, (off, HEADS), (off, HEADS))[1]
    assert torch.equal(right[:, :3], right[:, 3:6]), "not turned, both views are laid out alike"
    assert (right - wrong)[:, :3].abs().amax() > 0.03
    assert torch.allclose(right[:, 6:], wrong[:, 6:], atol=1e-5), "the map about its middle knows no place"


def test_the_maps_are_the_fitted_faces_and_nothing_is_seen_outside_the_face() -> None:
    maps, seen = FittedViews(LAYOUT)(torch.rand(2, 6, 256, 256), (CAMERA, HEADS), (turned(False), HEADS))
    assert torch.equal(maps.permute(0, 2, 3, 1), LAYOUT.position_map(CAMERA.project(HEADS)))
    assert not seen[:, :, ~LAYOUT.mask].any()
    assert seen.min() >= 0 and seen.max() <= 1
    about_middle = seen[:, 6:, LAYOUT.mask]
    assert torch.allclose(about_middle.mean(-1), torch.full((2, 3), 0.5), atol=0.01)
    assert about_middle.std() > 0.1

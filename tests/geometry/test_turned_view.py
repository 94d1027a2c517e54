import numpy as np
import pytest
import torch

from facerecon_ray.geometry.crop_transform import photo_bounds
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer import interpolate, rasterize
from facerecon_ray.geometry.turned_view import TurnedView, inside_photo, target_angles, turn_view, turned_yaw

SIZE = 256


@pytest.mark.parametrize(
    ("yaw", "expected"),
    [(0, 30), (10, 40), (-10, -40), (44, 74), (46, 16), (-46, -16), (70, 40), (-90, -60)],
)
def test_published_rule_turns_to_the_side_or_to_the_front(yaw: float, expected: float) -> None:
    assert turned_yaw(torch.tensor([float(yaw)]), 30.0).item() == expected


def test_turned_yaw_stays_within_profile() -> None:
    assert turned_yaw(torch.tensor([40.0, -40.0]), 80.0).tolist() == [90.0, -90.0]


def _camera(yaw: float) -> Camera:
    return Camera(torch.tensor([[yaw, 0.0, 0.0]]), torch.tensor([900.0]), torch.tensor([[128.0, 128.0]]))


def _photo_of_places(model: FaceModel, camera: Camera) -> torch.Tensor:
    """A photo whose colours say where on the mean head a pixel lies: (x, y, z) mapped to 0 to 255."""
    fragments = rasterize(camera.project(model.mean[None]), model.triangles, SIZE, SIZE, cull_back=True)
    return _colour_of(interpolate(fragments, model.triangles, model.mean[None])).permute(0, 3, 1, 2)


def _colour_of(places: torch.Tensor) -> torch.Tensor:
    return 128 + places * 800


def _turn(model: FaceModel, photo: torch.Tensor, camera: Camera, yaw: float) -> TurnedView:
    return turn_view(model, photo, model.mean[None], camera, torch.tensor([[yaw, 0.0, 0.0]]))


@pytest.mark.parametrize("yaws", [(0.0, 30.0), (20.0, 50.0), (-60.0, -30.0)])
def test_seen_pixels_show_the_colour_of_their_own_surface_point(yaws: tuple[float, float]) -> None:
    model = FaceModel.default()
    camera = _camera(yaws[0])
    view = _turn(model, _photo_of_places(model, camera), camera, yaws[1])
    turned = rasterize(view.camera.project(model.mean[None]), model.triangles, SIZE, SIZE, cull_back=True)
    expected = _colour_of(interpolate(turned, model.triangles, model.mean[None])).permute(0, 3, 1, 2)
    sure = (view.seen > 0.99) & view.face
    assert sure.float().mean() > 0.1
    difference = (view.picture - expected).abs().amax(1, keepdim=True)[sure]
    assert difference.median() < 1.0
    assert difference.quantile(0.98) < 6.0, "6 of 255 is 7.5 mm"


def test_the_far_cheek_is_unseen_and_its_mirror_image_is_seen() -> None:
    model = FaceModel.default()
    camera = _camera(35.0)
    view = _turn(model, _photo_of_places(model, camera), camera, -35.0)
    turned = rasterize(view.camera.project(model.mean[None]), model.triangles, SIZE, SIZE, cull_back=True)
    place = interpolate(turned, model.triangles, model.mean[None])[..., 0][:, None]
    left_cheek = view.face & (place > 0.05)
    assert view.seen[left_cheek].mean() < 0.2
    assert view.mirror_seen[left_cheek].mean() > 0.6


def test_turning_by_nothing_gives_the_photo_back() -> None:
    model = FaceModel.default()
    camera = _camera(15.0)
    photo = _photo_of_places(model, camera)
    view = _turn(model, photo, camera, 15.0)
    sure = view.seen > 0.99
    assert ((view.picture - photo).abs().amax(1, keepdim=True)[sure]).quantile(0.99) < 0.5


def test_the_face_stays_in_the_middle() -> None:
    model = FaceModel.default()
    camera = _camera(0.0)
    for yaw in (-60.0, 30.0, 90.0):
        view = _turn(model, _photo_of_places(model, camera), camera, yaw)
        columns = view.face[0, 0].any(0).nonzero()
        assert abs((columns.min() + columns.max()).item() / 2 - 128) < 6


def test_target_is_level_unless_the_pitch_is_kept_and_has_the_same_roll() -> None:
    angles = torch.tensor([[-50.0, 12.0, 7.0], [10.0, -9.0, -3.0]])
    assert target_angles(angles, 30.0, keep_pitch=False).tolist() == [[-20.0, 0.0, 7.0], [40.0, 0.0, -3.0]]
    assert target_angles(angles, 30.0, keep_pitch=True).tolist() == [[-20.0, 12.0, 7.0], [40.0, -9.0, -3.0]]


def test_background_beside_a_head_that_is_fitted_too_wide_is_not_taken_for_skin() -> None:
    model = FaceModel.default()
    camera = _camera(70.0)
    head = rasterize(camera.project(model.mean[None]), model.triangles, SIZE, SIZE, cull_back=True).mask[:, None]
    narrower = 1 - torch.nn.functional.max_pool2d(1 - head.float(), 7, 1, 3)
    view = _turn(model, narrower.expand(1, 3, -1, -1) * 200, camera, 40.0)
    background = 1 - view.picture[:, :1] / 200
    assert (background * view.face).sum() > 100, "the outline of the face lies in the turned view"
    assert (background * view.seen * view.face).sum() < 0.2 * (background * view.face).sum()


def test_inside_photo_rises_from_the_borders() -> None:
    bounds = photo_bounds(np.array([[1.0, 0.0, 10.0], [0.0, 1.0, -20.0]]), np.array(290), np.array(120))
    trust = inside_photo(torch.from_numpy(bounds)[None], 120, 200)[0, 0]
    assert trust[50, :10].max() == 0.0
    assert trust[100:].max() == 0.0
    assert trust[:80, 20:].min() == 1.0
    assert (trust[50, 10:16].diff() > 0).all()

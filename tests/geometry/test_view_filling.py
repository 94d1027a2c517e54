import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.turned_view import turn_view
from facerecon_ray.geometry.view_filling import fill_view, spread_colours


def test_spread_keeps_a_constant_colour_everywhere() -> None:
    weight = torch.zeros(1, 1, 37, 50)
    weight[0, 0, 5:9, 40:44] = 1.0
    colours = torch.tensor([200.0, 100.0, 50.0])[None, :, None, None] * weight
    spread = spread_colours(colours, weight)
    assert (spread - torch.tensor([200.0, 100.0, 50.0])[None, :, None, None]).abs().max() < 0.1


def test_spread_without_any_known_pixel_is_finite() -> None:
    assert torch.isfinite(spread_colours(torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16))).all()


def test_seen_pixels_are_kept_and_nothing_is_left_open() -> None:
    model = FaceModel.default()
    generator = torch.Generator().manual_seed(0)
    photo = torch.nn.functional.interpolate(torch.rand(1, 3, 16, 16, generator=generator) * 155 + 100, size=256)
    camera = Camera(torch.tensor([[10.0, 0.0, 0.0]]), torch.tensor([900.0]), torch.tensor([[128.0, 128.0]]))
    view = turn_view(model, photo, model.mean[None], camera, torch.tensor([[40.0, 0.0, 0.0]]))
    filled = fill_view(view, photo)
    inside = torch.nn.functional.avg_pool2d(view.head.float(), 3, 1, 1) > 0.99
    kept = (view.seen > 0.999) & inside
    assert (filled - view.picture).abs().amax(1, keepdim=True)[kept].max() < 0.5
    assert filled.min() >= 99.0, "every pixel has a colour mixed from the photo's"
    assert filled.max() <= 256.0


def test_hair_that_stands_out_over_the_head_leaves_no_ghost_behind_it() -> None:
    model = FaceModel.default()
    camera = Camera(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([700.0]), torch.tensor([[128.0, 140.0]]))
    blue, red = (torch.tensor(colour)[None, :, None, None] for colour in ([30.0, 60.0, 220.0], [200.0, 30.0, 30.0]))
    bare = turn_view(model, blue.expand(1, 3, 256, 256), model.mean[None], camera, torch.zeros(1, 3))
    hair = torch.nn.functional.max_pool2d(bare.photo_head.float(), 41, 1, 20)
    photo = red * hair + blue * (1 - hair)
    view = turn_view(model, photo, model.mean[None], camera, torch.tensor([[40.0, 0.0, 0.0]]))
    filled = fill_view(view, photo)
    reach = torch.nn.functional.max_pool2d(view.head.float(), 7, 1, 3)
    above = torch.arange(256)[:, None] < 150
    behind = (reach < 0.5) & above
    assert (hair[behind] > 0.5).float().mean() > 0.1, "the hair was seen where there is background now"
    assert filled[:, :1][behind].max() < 100.0, "nearer to the blue than to the red"

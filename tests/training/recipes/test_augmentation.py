import numpy as np
import pytest
import torch
from torch import Tensor

from facerecon_ray.config.training import AugmentationSettings
from facerecon_ray.training.recipes.augmentation import Placement, photographed

SIZE = 256
CHANGES = {
    "nothing": {},
    "mirrored": {"mirrored": True},
    "rolled": {"roll": 25.0},
    "zoomed in": {"zoom": 1.3},
    "zoomed out": {"zoom": 0.75},
    "shifted": {"shift": (14.0, -22.0)},
    "all": {"mirrored": True, "roll": -40.0, "zoom": 1.2, "shift": (-9.0, 17.0)},
}
CALM = AugmentationSettings(channels=(1.0, 1.0), contrast=0.0, grey_share=0, blur_share=0, noise=0, erase_share=0)


def placement(
    zoom: float = 1.0, roll: float = 0.0, shift: tuple[float, float] = (0.0, 0.0), mirrored: bool = False
) -> Placement:
    return Placement(torch.tensor([zoom]), torch.tensor([roll]), torch.tensor([shift]), torch.tensor([mirrored]), SIZE)


def dot(place: Tensor) -> Tensor:
    """(1, 1, 256, 256) a soft dot at a place (2,) in pixels."""
    centres = torch.arange(SIZE) + 0.5
    distance = (centres[None, :] - place[0]).square() + (centres[:, None] - place[1]).square()
    return (-distance / (2 * 4.0**2)).exp()[None, None]


def middle_of(picture: Tensor) -> Tensor:
    """(2,) centre of mass of a picture (1, 1, H, H), pixels of the crop."""
    size = picture.shape[-1]
    centres = (torch.arange(size) + 0.5) * SIZE / size
    weight = picture[0, 0] / picture.sum()
    return torch.stack([(weight.sum(0) * centres).sum(), (weight.sum(1) * centres).sum()])


@pytest.mark.parametrize("size", [256, 128])
@pytest.mark.parametrize("change", CHANGES)
def test_pictures_and_points_move_alike(change: str, size: int) -> None:
    moved = placement(**CHANGES[change])  # type: ignore[arg-type]
    for place in (torch.tensor([90.0, 150.0]), torch.tensor([140.0, 120.0]), torch.tensor([160.0, 165.0])):
        expected = moved.move(place[None, None])[0, 0]
        assert expected.min() > 30 and expected.max() < 226
        found = middle_of(moved.pictures(dot(place), size))
        assert (found - expected).abs().max() < 0.1, (place, expected, found)


def test_every_change_goes_where_its_name_says() -> None:
    right_of_middle = torch.tensor([[[178.0, 128.0, 10.0]]])

    def moved(**change: object) -> list[float]:
        return [round(value, 3) for value in placement(**change).move(right_of_middle)[0, 0].tolist()]  # type: ignore[arg-type]

    assert moved(mirrored=True) == [78.0, 128.0, 10.0]
    assert moved(zoom=1.2) == [188.0, 128.0, 12.0]
    assert moved(roll=90.0) == [128.0, 178.0, 10.0]
    assert moved(shift=(3.0, -4.0)) == [181.0, 124.0, 10.0]


def test_rows_move_on_their_own() -> None:
    both = Placement(
        torch.tensor([1.0, 1.0]),
        torch.tensor([0.0, 30.0]),
        torch.zeros(2, 2),
        torch.tensor([False, True]),
        SIZE,
    )
    place = torch.tensor([100.0, 150.0])
    pictures = both.pictures(dot(place).expand(2, 1, SIZE, SIZE), SIZE)
    points = both.move(place.expand(2, 1, 2))[:, 0]
    for row in range(2):
        assert (middle_of(pictures[row : row + 1]) - points[row]).abs().max() < 0.1
    assert (points[0] - place).abs().max() < 1e-4
    assert (points[1] - place).abs().max() > 10


def test_draws_stay_in_their_ranges_and_use_them() -> None:
    settings = AugmentationSettings(shift=0.1, zoom=1.25, roll=20.0, mirror=True)
    drawn = Placement.draw(settings, 2000, SIZE, torch.Generator().manual_seed(0))
    assert 1 / 1.25 <= drawn.zoom.min() < 0.82 and 1.22 < drawn.zoom.max() <= 1.25
    assert -20 <= drawn.roll.min() < -19 and 19 < drawn.roll.max() <= 20
    assert 24.5 < drawn.shift.abs().max() <= 25.6
    assert 0.45 < drawn.mirrored.float().mean() < 0.55
    assert abs(float(drawn.zoom.log().mean())) < 0.01
    again = Placement.draw(settings, 2000, SIZE, torch.Generator().manual_seed(0))
    assert torch.equal(again.roll, drawn.roll)


def test_without_a_range_nothing_moves() -> None:
    drawn = Placement.draw(AugmentationSettings(), 8, SIZE, torch.Generator().manual_seed(0))
    points = torch.rand(8, 5, 3) * 256
    assert torch.allclose(drawn.move(points), points, atol=1e-4)
    pictures = torch.rand(8, 3, SIZE, SIZE)
    assert torch.allclose(drawn.pictures(pictures, SIZE), pictures, atol=1e-3)


@pytest.fixture(scope="module")
def views() -> Tensor:
    """(64, 2, 3, 32, 32) the same two coloured noises in every row, between 0.3 and 0.6."""
    random = torch.Generator().manual_seed(1)
    return (0.3 + 0.3 * torch.rand(1, 2, 3, 32, 32, generator=random)).expand(64, -1, -1, -1, -1)


def seen(views: Tensor, seed: int = 0, **settings: object) -> Tensor:
    changed = CALM.model_copy(update=settings)
    return photographed(views, changed, torch.Generator().manual_seed(seed))


def test_settings_of_nothing_change_nothing(views: Tensor) -> None:
    assert torch.allclose(seen(views), views, atol=1e-6)


def test_channels_and_contrast_are_those_of_the_row(views: Tensor) -> None:
    factors = seen(views, channels=(0.6, 1.4)) / views
    assert factors.std(dim=(1, 3, 4)).max() < 1e-4
    assert 0.6 <= factors.min() < 0.65 and 1.35 < factors.max() <= 1.4
    assert (factors[:, 0, 0, 0, 0] - factors[:, 0, 1, 0, 0]).abs().max() > 0.3
    spread = seen(views, contrast=0.3).std(dim=(1, 2, 3, 4)) / views.std(dim=(1, 2, 3, 4))
    assert 0.7 <= spread.min() < 0.75 and 1.25 < spread.max() <= 1.3


def test_shares_are_shares_of_the_rows(views: Tensor) -> None:
    grey = seen(views, grey_share=0.5)
    rows = (grey[:, :, 0] == grey[:, :, 1]).flatten(1).all(1)
    assert 18 < rows.sum() < 46
    assert torch.allclose(grey[~rows], views[~rows], atol=1e-6)
    blurred = seen(views, blur_share=0.5)
    softer = blurred.std(dim=(1, 2, 3, 4)) < 0.9 * views.std(dim=(1, 2, 3, 4))
    assert 18 < softer.sum() < 46
    assert torch.allclose(blurred[~softer], views[~softer], atol=1e-6)


def test_covers_are_rectangles_of_one_colour_that_differ_between_views(views: Tensor) -> None:
    covered = (seen(views, erase_share=1.0) - views).abs().amax(2) > 1e-6
    share = covered.float().mean((2, 3))
    assert 0.0 < share.mean() < 0.25
    assert (covered[:, 0] != covered[:, 1]).flatten(1).any(1).float().mean() > 0.9
    for mask in covered.flatten(0, 1):
        assert mask.sum() == mask.any(0).sum() * mask.any(1).sum()


def test_noise_and_dropped_pixels_are_new_in_every_view(views: Tensor) -> None:
    noise = seen(views, noise=0.1) - views
    assert 0.02 < noise.std() < 0.06
    assert (noise[:, 0] - noise[:, 1]).abs().max() > 0.1
    dropped = (seen(views, dropout=0.25) == 0).all(2)
    assert 0.23 < dropped.float().mean() < 0.27
    assert (dropped[:, 0] != dropped[:, 1]).any()


def test_results_are_pictures_and_come_again(views: Tensor) -> None:
    settings = AugmentationSettings(contrast=0.9, channels=(0.1, 3.0), noise=0.5, dropout=0.1)
    first = photographed(views, settings, torch.Generator().manual_seed(3))
    assert first.shape == views.shape
    assert first.min() >= 0 and first.max() <= 1
    assert torch.equal(first, photographed(views, settings, torch.Generator().manual_seed(3)))
    assert not np.allclose(first, photographed(views, settings, torch.Generator().manual_seed(4)))

import cv2
import numpy as np
import pytest

from facerecon_ray.geometry.crop_transform import (
    CROP_SIZE,
    apply_transform,
    crop_transform,
    cut_crop,
    invert_transform,
    photo_bounds,
    roll_of_transform,
    square_transform,
    transform_beside,
    turn,
)


def _shapes(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 100, (count, 68, 2)) * rng.uniform(0.5, 5, (count, 1, 1)) + rng.uniform(
        0, 500, (count, 1, 2)
    )


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_landmark_box_fills_its_share_of_the_crop() -> None:
    inside = apply_transform(crop_transform(_shapes(20)), _shapes(20))
    low, high = inside.min(1), inside.max(1)
    assert (high - low).max(1) == pytest.approx(CROP_SIZE / 1.75)
    assert (low + high) / 2 == pytest.approx(np.tile([128, 128 + 0.1 * CROP_SIZE / 1.75], (20, 1)))


def test_crop_follows_the_face_through_scale_and_shift() -> None:
    shapes = _shapes(5)
    moved = shapes * 3.7 + (40.0, -25.0)
    expected = apply_transform(crop_transform(shapes), shapes)
    assert apply_transform(crop_transform(moved), moved) == pytest.approx(expected)


def test_transform_is_axis_aligned_with_one_scale() -> None:
    transform = crop_transform(_shapes(4))
    assert transform.shape == (4, 2, 3) and transform.dtype == np.float64
    assert np.all(transform[:, [0, 1], [1, 0]] == 0)
    assert np.all(transform[:, 0, 0] == transform[:, 1, 1])


def test_batch_gives_what_single_faces_give() -> None:
    shapes = _shapes(6).reshape(2, 3, 68, 2)
    single = np.array([[crop_transform(shape) for shape in row] for row in shapes])
    assert np.array_equal(crop_transform(shapes), single)


def test_inverse_returns_to_the_photo() -> None:
    shapes = _shapes(6)
    transform = crop_transform(shapes)
    assert apply_transform(invert_transform(transform), apply_transform(transform, shapes)) == pytest.approx(shapes)


def test_whole_pixel_shift_copies_pixels_exactly() -> None:
    photo = _noise(300, 320)
    transform = np.array([[1.0, 0.0, -17.0], [0.0, 1.0, -5.0]])
    assert np.array_equal(cut_crop(photo, transform), photo[5 : 5 + 256, 17 : 17 + 256])


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_shrinking_averages_the_area_of_each_crop_pixel(factor: int) -> None:
    photo = _noise(256 * factor, 256 * factor)
    blocks = photo.reshape(256, factor, 256, factor, 3).mean((1, 3))
    crop = cut_crop(photo, np.array([[1 / factor, 0.0, 0.0], [0.0, 1 / factor, 0.0]]))
    assert np.abs(crop - blocks).max() <= 0.75


def test_enlarging_keeps_pixel_centres_at_a_half() -> None:
    ramp = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], 120, 0).repeat(3, 2)
    crop = cut_crop(ramp, np.array([[4.0, 0.0, -160.0], [0.0, 4.0, -100.0]]))
    x_in_photo = (np.arange(256) + 0.5 + 160) / 4
    assert np.abs(crop[128, :, 0] - 2 * (x_in_photo - 0.5)).max() <= 1.0


def test_beyond_the_photo_its_border_is_repeated() -> None:
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[:, -1], photo[:, 0] = (10, 20, 30), (200, 100, 50)
    crop = cut_crop(photo, np.array([[1.0, 0.0, 96.0], [0.0, 1.0, 96.0]]))
    assert np.all(crop[:, :97] == (200, 100, 50))
    assert np.all(crop[:, 159:] == (10, 20, 30))


def test_square_beside_a_crop_keeps_its_scale_and_the_middle_of_the_face() -> None:
    rng = np.random.default_rng(3)
    face, turned = rng.uniform(50, 250, (2, 40, 3)), rng.uniform(80, 200, (2, 40, 3))
    transform = crop_transform(rng.uniform(50, 250, (2, 68, 2)))
    beside = transform_beside(transform, face, turned)
    np.testing.assert_allclose(beside[..., :2], transform[..., :2])
    boxes = [apply_transform(t, p[..., :2]) for t, p in ((transform, face), (beside, turned))]
    middles = [(box.max(1) + box.min(1)) / 2 for box in boxes]
    np.testing.assert_allclose(middles[0], middles[1])


def test_photos_end_where_their_corners_are_in_the_crop() -> None:
    transforms = np.array([[[0.5, 0.0, 20.0], [0.0, 0.5, -30.0]], [[2.0, 0.0, -10.0], [0.0, 2.0, 0.0]]])
    bounds = photo_bounds(transforms, np.array([300, 40]), np.array([200, 50]))
    left, top, right, bottom = (1, 0), (0, 1), (-1, 0), (0, -1)
    np.testing.assert_array_equal(bounds[..., :2], [[left, top, right, bottom]] * 2)
    np.testing.assert_allclose(bounds[..., 2], [[-20, 30, 170, 70], [10, 0, 70, 100]])


@pytest.mark.parametrize("roll", [30.0, 90.0, -135.0, 180.0])
def test_a_rolled_face_has_the_crop_of_the_upright_one(roll: float) -> None:
    shapes, boxes = _shapes(5), np.array([[20.0, 30.0, 120.0, 130.0]])
    rolled = shapes @ turn(roll).T + (300.0, -40.0)
    transform = crop_transform(rolled, np.full(5, roll))
    np.testing.assert_allclose(apply_transform(transform, rolled), apply_transform(crop_transform(shapes), shapes))
    np.testing.assert_allclose(roll_of_transform(transform), roll)
    square = square_transform(boxes, np.array([roll]), 100)[0]
    turned = (np.array([[-50, -50], [50, 50], [0, 0]]) @ turn(roll).T) + (70, 80)
    np.testing.assert_allclose(apply_transform(square, turned), [[0, 0], [100, 100], [50, 50]], atol=1e-9)


def test_turns_are_clockwise_in_the_picture() -> None:
    np.testing.assert_allclose(turn(90) @ (1.0, 0.0), (0.0, 1.0), atol=1e-12)
    np.testing.assert_allclose(turn(np.array([0.0, 180.0])), [np.eye(2), -np.eye(2)], atol=1e-12)


def test_roll_of_a_crop_is_known_where_the_photo_was_not_scaled_alike_in_both_directions() -> None:
    transforms = crop_transform(_shapes(4), np.array([0.0, 90.0, 47.0, -170.0])) / (4.0, 4.01, 1.0)
    np.testing.assert_allclose(roll_of_transform(transforms), [0, 90, 47, -170], atol=0.08)
    assert roll_of_transform(transforms)[0] == 0


def test_borders_of_a_photo_in_a_turned_crop() -> None:
    width, height = 300, 200
    transform = crop_transform(np.random.default_rng(2).uniform(80, 160, (68, 2)), 35.0)
    bounds = photo_bounds(transform, np.array(width), np.array(height)).astype(float)
    scale = np.linalg.norm(transform[:, 0])
    inside = bounds @ (*apply_transform(transform, np.array([[70.0, 90.0]]))[0], 1.0)
    np.testing.assert_allclose(inside, scale * np.array([70, 90, width - 70, height - 90]), rtol=1e-4)


@pytest.mark.parametrize(("degrees", "quarters"), [(90.0, 1), (180.0, 2), (-90.0, 3)])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_turned_crop_of_a_photo_turned_by_quarters_is_its_crop(degrees: float, quarters: int, factor: int) -> None:
    photo = cv2.GaussianBlur(_noise(256 * factor, 256 * factor), (0, 0), 2)
    side = 256.0 * factor
    expected = cut_crop(photo, square_transform(np.array([0.0, 0.0, side, side])))
    turned = np.ascontiguousarray(np.rot90(photo, -quarters))
    crop = cut_crop(turned, square_transform(np.array([0.0, 0.0, side, side]), degrees))
    assert np.abs(crop.astype(int) - expected).max() <= 1


def test_turned_shrinking_averages_too() -> None:
    photo = _noise(1600, 1600)
    crop = cut_crop(photo, square_transform(np.array([300.0, 300.0, 1300.0, 1300.0]), 45.0))
    straight = cut_crop(photo, square_transform(np.array([300.0, 300.0, 1300.0, 1300.0])))
    assert crop.std() == pytest.approx(straight.std(), rel=0.25)
    assert crop.mean() == pytest.approx(photo.mean(), abs=0.5)

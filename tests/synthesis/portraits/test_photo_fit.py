import cv2
import numpy as np
import pytest
import skimage.data
import torch

from facerecon_ray.config.photos import PhotoFitSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import box_size
from facerecon_ray.geometry.landmarks import landmarks_in_picture
from facerecon_ray.networks.mmod import Detections
from facerecon_ray.synthesis.portraits.photo_fit import PhotoFitter, meet_landmarks, turned_by_quarters


def _encoded(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]))[1].tobytes()


@pytest.fixture(scope="module")
def fitter() -> PhotoFitter:
    return PhotoFitter(PhotoFitSettings(), FaceModel.default())


def test_vertices_meet_the_landmarks_better_than_the_fit_alone(fitter: PhotoFitter) -> None:
    photo = fitter(_encoded(skimage.data.astronaut()))
    found = torch.from_numpy(photo.landmarks.astype(np.float32))
    met = landmarks_in_picture(FaceModel.default(), photo.vertices[None], photo.camera.angles[:, 2])[0, :, :2]
    inner = (met - found)[27:].norm(dim=-1).mean() / box_size(found[None])[0]
    assert inner < 0.5 * photo.fit_error
    assert abs(float(photo.camera.angles[0, 0])) < 10.0
    between_eyes = (found[42:48].mean(0) - found[36:42].mean(0)).norm()
    above = (found - met)[17:27, 1].mean() / between_eyes
    assert abs(above) < 0.03, "the model's brow landmarks lie where dlib sees brows"


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photo_on_its_side_or_its_head_is_turned(
    fitter: PhotoFitter, monkeypatch: pytest.MonkeyPatch, quarters: int
) -> None:
    upright = skimage.data.astronaut()[:, :400]
    expected = fitter(_encoded(upright))
    found = fitter._detector.detect([upright])[0]
    lying = np.ascontiguousarray(np.rot90(upright, -quarters))
    turned, ends = turned_by_quarters(upright, found.boxes[0].reshape(2, 2), -quarters)
    assert np.array_equal(turned, lying)
    box = np.concatenate([ends.min(0), ends.max(0)])[None]
    faces = Detections(box.astype(np.float32), found.scores[:1], np.float32([90.0 * quarters + 4.0]))
    monkeypatch.setattr(fitter._detector, "detect", lambda photos: [faces])
    photo = fitter(_encoded(lying))
    assert np.array_equal(photo.pixels, upright)
    size = float(box_size(torch.from_numpy(expected.landmarks)[None])[0])
    assert np.linalg.norm(photo.landmarks - expected.landmarks, axis=1).mean() < 0.02 * size
    assert float((photo.camera.angles - expected.camera.angles).abs().max()) < 3.0


def test_corrections_leave_depth_and_far_points_alone() -> None:
    rng = np.random.default_rng(0)
    marks = torch.from_numpy(rng.uniform(100.0, 200.0, (1, 68, 2)).astype(np.float32))
    points = torch.tensor([[[150.0, 150.0, 7.0], [900.0, 900.0, -3.0]]])
    moved = meet_landmarks(points, marks, marks + 4.0)
    assert torch.equal(moved[..., 2], points[..., 2])
    torch.testing.assert_close(moved[0, 1], points[0, 1])
    torch.testing.assert_close(moved[0, 0, :2], points[0, 0, :2] + 4.0, atol=1.0, rtol=0.0)


def test_useless_photos_are_refused_with_their_reason(fitter: PhotoFitter) -> None:
    astronaut = skimage.data.astronaut()
    blurred = cv2.GaussianBlur(astronaut, (0, 0), 3.5)
    demanding = PhotoFitter(PhotoFitSettings(least_eye_distance=200.0), FaceModel.default())
    tilted = PhotoFitter(PhotoFitSettings(most_pitch=0.0), FaceModel.default())
    strict = PhotoFitter(PhotoFitSettings(most_fit_error=0.001), FaceModel.default())
    for use, pixels, reason in (
        (fitter, skimage.data.page()[..., None].repeat(3, 2), "no face"),
        (fitter, blurred, "blurred"),
        (demanding, astronaut, "too small"),
        (tilted, astronaut, "not near-frontal"),
        (strict, astronaut, "fits badly"),
    ):
        with pytest.raises(PhotoError, match=reason):
            use(_encoded(pixels))

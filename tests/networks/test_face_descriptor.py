from pathlib import Path

import dlib
import numpy as np
import pytest
import skimage.data
import torch

from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.dlib_models import installed_model
from facerecon_ray.networks.face_descriptor import (
    MODEL,
    SAME_PERSON,
    DescriptorNetwork,
    FaceDescriber,
    chip_places,
    cut_chips,
    likeness,
)
from facerecon_ray.networks.face_detectors import build_detector
from facerecon_ray.networks.landmark_predictor import LandmarkPredictor, adjust_boxes


@pytest.fixture(scope="module")
def astronaut() -> tuple[np.ndarray, np.ndarray]:
    """A photo and its 68 landmarks."""
    photo = skimage.data.astronaut()
    detector = build_detector(CropSettings(device="cpu"))
    box = adjust_boxes(detector.detect([photo])[0].boxes, detector.box_adjustment)[0]
    return photo, LandmarkPredictor().predict(photo, box)


@pytest.fixture(scope="module")
def describer() -> FaceDescriber:
    return FaceDescriber(FaceModel.default())


@pytest.fixture(scope="module")
def reference() -> dlib.face_recognition_model_v1:
    return dlib.face_recognition_model_v1(str(installed_model(MODEL)))


def _shape(landmarks: np.ndarray) -> dlib.full_object_detection:
    low, high = landmarks.min(0).round().astype(int), landmarks.max(0).round().astype(int)
    points = [dlib.point(round(x), round(y)) for x, y in (landmarks - 0.5).tolist()]
    return dlib.full_object_detection(dlib.rectangle(*low.tolist(), *high.tolist()), points)


def _pixels(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()


def test_the_network_is_dlibs(
    astronaut: tuple[np.ndarray, np.ndarray], reference: dlib.face_recognition_model_v1
) -> None:
    photo, landmarks = astronaut
    face = dlib.get_face_chip(photo, _shape(landmarks), 150, 0.25)
    noise = np.random.default_rng(0).integers(0, 256, (150, 150, 3)).astype(np.uint8)
    network = DescriptorNetwork.from_dlib(installed_model(MODEL))
    found = network(torch.cat([_pixels(face), _pixels(noise)])).numpy()
    for descriptor, chip in zip(found, (face, noise), strict=True):
        assert descriptor == pytest.approx(np.array(reference.compute_face_descriptor(chip)), abs=1e-4)


def test_faces_are_cut_out_as_dlib_does_it(
    astronaut: tuple[np.ndarray, np.ndarray], reference: dlib.face_recognition_model_v1, describer: FaceDescriber
) -> None:
    photo, landmarks = astronaut
    theirs = np.array(reference.compute_face_descriptor(photo, _shape(landmarks)))
    _, distance = likeness(theirs, describer.describe(photo, landmarks))
    assert distance < SAME_PERSON / 4


def test_a_darker_smaller_turned_copy_is_the_same_person_and_a_face_upside_down_is_not(
    astronaut: tuple[np.ndarray, np.ndarray], describer: FaceDescriber
) -> None:
    photo, landmarks = astronaut
    here = describer.describe(photo, landmarks)
    cosine, distance = likeness(here, describer.describe((photo[::2, ::2] * 0.7).astype(np.uint8), landmarks / 2))
    assert cosine > 0.95
    assert distance < SAME_PERSON / 2
    on_its_side = np.stack([landmarks[:, 1], photo.shape[1] - landmarks[:, 0]], -1)
    _, turned = likeness(here, describer.describe(np.rot90(photo), on_its_side))
    assert turned < SAME_PERSON / 4
    _, other = likeness(here, describer.describe(photo[::-1].copy(), landmarks))
    assert other > SAME_PERSON


def test_eyes_lie_where_the_places_say_and_rows_do_not_change_each_other() -> None:
    places = chip_places(FaceModel.default())
    near, far = 1.5 * places + torch.tensor([20.0, 10.0]), 4.0 * places + 3.0
    x = torch.arange(640.0)
    pictures = torch.stack([x.expand(640, 640), x[:, None].expand(640, 640), x.expand(640, 640)])
    both = cut_chips(pictures.expand(2, -1, -1, -1), torch.stack([near, far]), places)
    alone = cut_chips(pictures[None], near[None], places)
    assert torch.equal(both[:1], alone)
    column, row = torch.tensor(100.5), torch.tensor(60.5)
    assert both[0, 0, 60, 100] + 0.5 == pytest.approx((1.5 * column + 20).item(), abs=0.01)
    assert both[0, 1, 60, 100] + 0.5 == pytest.approx((1.5 * row + 10).item(), abs=0.01)
    assert both[1, 0, 60, 100] + 0.5 == pytest.approx((4 * column + 3).item(), abs=0.01)


def test_gradients_reach_the_picture(astronaut: tuple[np.ndarray, np.ndarray], describer: FaceDescriber) -> None:
    photo, landmarks = astronaut
    picture = _pixels(photo).requires_grad_()
    describer(picture, torch.from_numpy(landmarks).float()[None]).sum().backward()
    assert picture.grad is not None
    touched = picture.grad[0].abs().sum(0) > 0
    x, y = landmarks[30].astype(int)
    assert touched[y, x]
    assert not touched[-40:].any()


@torch.no_grad()
def test_frozen_weights_give_the_same_descriptors(
    astronaut: tuple[np.ndarray, np.ndarray], describer: FaceDescriber
) -> None:
    frozen = FaceDescriber(FaceModel.default())
    frozen.freeze()
    found, wanted = frozen.describe(*astronaut), describer.describe(*astronaut)
    assert np.linalg.norm(found - wanted) < 0.03


def test_a_descriptor_is_wholly_like_itself() -> None:
    vector = np.random.default_rng(0).normal(size=128)
    assert likeness(vector, vector) == (pytest.approx(1.0), 0.0)


@pytest.mark.parametrize("kept", [0, 12, 400_000])
def test_file_that_is_not_the_network_is_an_asset_error(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "recognition.dat"
    path.write_bytes(installed_model(MODEL).read_bytes()[:kept])
    with pytest.raises(AssetError, match=r"recognition\.dat: this is not dlib's dlib_face_recognition"):
        DescriptorNetwork.from_dlib(path)


def test_missing_file_is_an_asset_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="No such file"):
        DescriptorNetwork.from_dlib(tmp_path / "none.dat")

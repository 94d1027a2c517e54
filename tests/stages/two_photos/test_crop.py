import numpy as np
import pytest
from photo_pairs import pairs

from facerecon_ray.stages.stage import FAILED, NO_FACE, OK, UNREADABLE, Batch
from facerecon_ray.stages.two_photos.crop import TwoPhotoCropper


@pytest.fixture(scope="module")
def rows(
    cropper: TwoPhotoCropper, astronaut: np.ndarray, hopper: np.ndarray, pair: np.ndarray, page: np.ndarray
) -> Batch:
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    batch = pairs((astronaut, mirrored), (hopper, pair), (pair, hopper), (astronaut, page), (page, astronaut),
                  (astronaut, hopper), (astronaut, astronaut))  # fmt: skip
    batch["side_photo_bytes"][6] = b"no photo"
    return cropper(batch)


def test_a_pair_is_one_row_with_both_photos_crops(rows: Batch) -> None:
    assert rows["photo_uri"].tolist() == [f"front-{row}" for row in range(7)]
    assert not {"photo_bytes", "side_photo_bytes"} & set(rows)
    for name, column in TwoPhotoCropper.outputs.items():
        assert rows[name].dtype == column.empty(0).dtype and rows[name].shape == (7, *column.shape), name
    assert rows["face_count"].tolist() == [1] * 7 and rows["face_index"].tolist() == [0] * 7
    assert rows["status"][0] == OK and (rows["crop_ms"] > 0).all()
    # The mirrored photo's face, mirrored: the same crop.
    flipped = rows["side_crop"][0][:, ::-1].astype(int)
    assert np.abs(flipped - rows["crop"][0]).mean() < 16


def test_of_several_faces_the_one_that_both_photos_show_is_taken(rows: Batch) -> None:
    assert rows["status"][1:3].tolist() == [OK, OK]
    middle = rows["side_landmarks"][1].mean(0), rows["landmarks"][2].mean(0)
    assert all(320 < x < 640 for x, _ in middle), "the right half of the picture of two people"
    assert (rows["side_distance"][:3] < 0.3).all() and rows["side_distance"][5] > 0.55, "two women"


def test_a_side_photo_without_a_face_fails_with_the_reason(rows: Batch) -> None:
    assert rows["status"][3:].tolist() == [FAILED, NO_FACE, OK, UNREADABLE]
    assert rows["error"][3:5].tolist() == ["side photo: no face was found", "no face was found"]
    assert rows["error"][6].startswith("side photo: ")
    found = rows["bbox"][:, 2] > rows["bbox"][:, 0]
    assert found.tolist() == [True, True, True, True, False, True, True], "what the front photo shows stays in the row"


def test_a_small_face_behind_the_sitter_is_not_taken_however_alike_it_is(
    cropper: TwoPhotoCropper, astronaut: np.ndarray, hopper: np.ndarray
) -> None:
    import cv2

    crowd = astronaut.copy()
    crowd[:110, :110] = cv2.resize(hopper, (110, 110), interpolation=cv2.INTER_AREA)
    rows = cropper(pairs((hopper, crowd)))
    assert rows["side_landmarks"][0].mean(0) == pytest.approx(astronaut_face(cropper, astronaut), abs=8)
    assert rows["side_distance"][0] > 0.55


def astronaut_face(cropper: TwoPhotoCropper, astronaut: np.ndarray) -> np.ndarray:
    """Middle of her landmarks."""
    return cropper(pairs((astronaut, astronaut)))["landmarks"][0].mean(0)

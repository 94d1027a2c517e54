import io

import cv2
import numpy as np
import pytest
from PIL import Image

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.geometry.crop_transform import CROP_SIZE, apply_transform, crop_transform, roll_of_transform
from facerecon_ray.stages.crop import Cropper
from facerecon_ray.stages.stage import FAILED, NO_FACE, OK, UNREADABLE, Batch
from facerecon_ray.storage.pairs.pair_codec import unpack_image


@pytest.fixture(scope="module")
def cropper() -> Cropper:
    return Cropper(CropSettings(device="cpu"), ReadSettings())


def _encode(pixels: np.ndarray, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def _batch(*data: bytes | None) -> Batch:
    return {
        "photo_uri": np.array([f"photo-{i}" for i in range(len(data))], dtype=object),
        "photo_bytes": np.array(data, dtype=object),
        "status": np.array([OK] * len(data), dtype=object),
        "error": np.array([""] * len(data), dtype=object),
    }


def test_good_and_bad_photos_become_their_rows(
    cropper: Cropper, astronaut: np.ndarray, pair: np.ndarray, page: np.ndarray
) -> None:
    batch = _batch(_encode(pair), b"", _encode(astronaut), _encode(astronaut)[:9000], _encode(page), None, None)
    batch["status"][6], batch["error"][6] = FAILED, "no permission"
    rows = cropper(batch)
    assert rows["photo_uri"].tolist() == [f"photo-{i}" for i in (0, 0, 1, 2, 3, 4, 5, 6)]
    assert rows["status"].tolist() == [OK, OK, UNREADABLE, OK, UNREADABLE, NO_FACE, UNREADABLE, FAILED]
    assert rows["error"].tolist() == [
        "",
        "",
        "the file is empty",
        "",
        "the image is truncated",
        "no face was found",
        "the file is empty",
        "no permission",
    ]
    assert rows["face_count"].tolist() == [2, 2, 1, 1, 1, 1, 1, 1]
    assert rows["face_index"].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    assert rows["photo_width"].tolist() == [640, 640, 0, 512, 0, 384, 0, 0]
    assert rows["photo_height"].tolist() == [512, 512, 0, 512, 0, 191, 0, 0]
    assert rows["detection_score"][0] > rows["detection_score"][1] > 0.9
    assert np.all((rows["crop_ms"] > 0) == (rows["status"] != FAILED))
    assert not rows["crop"][rows["status"] != OK].any()


def test_columns_have_the_declared_types_and_shapes(cropper: Cropper, pair: np.ndarray) -> None:
    for data in (_encode(pair), b"", _encode(np.zeros((9, 9, 3), np.uint8))):
        rows = cropper(_batch(data))
        assert set(rows) == {"photo_uri", "status", "error", "crop_ms", *Cropper.outputs}
        for name, column in Cropper.outputs.items():
            assert rows[name].dtype == column.empty(0).dtype and rows[name].shape[1:] == column.shape, name
        assert {len(values) for values in rows.values()} == {len(rows["status"])}


def test_crop_shows_what_its_transform_says(cropper: Cropper, astronaut: np.ndarray) -> None:
    rows = cropper(_batch(_encode(astronaut)))
    landmarks = rows["landmarks"][0]
    transform = rows["crop_transform"][0]
    assert transform == pytest.approx(crop_transform(landmarks, roll_of_transform(transform)), abs=1e-3)
    inside = apply_transform(rows["crop_transform"][0], landmarks)
    assert inside.min() > 0 and inside.max() < CROP_SIZE
    for x, y in inside[[30, 36, 45, 57]]:
        there = np.linalg.inv(np.vstack([rows["crop_transform"][0], [0, 0, 1]])) @ (x, y, 1)
        expected = astronaut[int(there[1]), int(there[0])].astype(int)
        nearby = rows["crop"][0][int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].reshape(-1, 3).astype(int)
        assert np.abs(nearby - expected).max(1).min() < 25


def test_detail_is_the_crop_with_the_photos_own_pixels(cropper: Cropper, astronaut: np.ndarray) -> None:
    large = cv2.resize(astronaut, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    small_rows, rows = cropper(_batch(_encode(astronaut))), cropper(_batch(_encode(large)))
    assert small_rows["detail"][0] == b""
    detail = unpack_image(rows["detail"][0])
    of_photo = CROP_SIZE / np.sqrt(np.linalg.det(rows["crop_transform"][0, :, :2]))
    assert detail.shape[:2] == (detail.shape[0],) * 2
    assert of_photo <= detail.shape[0] < of_photo + 32
    shrunk = cv2.resize(detail, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - rows["crop"][0]).mean() < 2


def test_detail_is_no_larger_than_the_setting(astronaut: np.ndarray) -> None:
    large = _encode(cv2.resize(astronaut, None, fx=3, fy=3))
    for side, expected in ((300, 300), (256, 0)):
        rows = Cropper(CropSettings(device="cpu", texture_side=side), ReadSettings())(_batch(large))
        assert (len(unpack_image(rows["detail"][0])) if expected else len(rows["detail"][0])) == expected


def test_results_are_in_pixels_of_the_original(cropper: Cropper, astronaut: np.ndarray) -> None:
    small, large = (cropper(_batch(_encode(pixels))) for pixels in (astronaut, astronaut.repeat(4, 0).repeat(4, 1)))
    assert large["photo_width"][0] == 2048
    face = np.ptp(large["landmarks"][0], axis=0).max()
    assert np.abs(large["landmarks"] - 4 * small["landmarks"]).mean() < 0.01 * face
    assert np.abs(large["bbox"] - 4 * small["bbox"]).max() < 0.25 * face
    scales = [np.sqrt(np.linalg.det(rows["crop_transform"][0, :, :2])) for rows in (small, large)]
    assert scales[1] == pytest.approx(scales[0] / 4, rel=0.02)
    assert np.abs(large["crop"].astype(float) - small["crop"]).mean() < 8


def test_the_focal_length_is_in_pixels_of_the_original_too(cropper: Cropper, astronaut: np.ndarray) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    buffer = io.BytesIO()
    Image.fromarray(astronaut.repeat(4, 0).repeat(4, 1)).save(buffer, "JPEG", exif=exif)
    rows = cropper(_batch(buffer.getvalue(), _encode(astronaut)))
    assert rows["focal_length"].tolist() == [pytest.approx(26 / np.hypot(36, 24) * 2048 * np.sqrt(2)), 0.0]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation_does_not_change_the_crop(cropper: Cropper, astronaut: np.ndarray, orientation: int) -> None:
    upright = astronaut[:, :400]
    stored = {
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    rows = cropper(_batch(_encode(upright), _encode(np.ascontiguousarray(stored), orientation)))
    assert rows["photo_width"].tolist() == [400, 400]
    for name in ("crop", "landmarks", "bbox", "crop_transform"):
        assert np.array_equal(rows[name][0], rows[name][1]), name


def test_photo_that_breaks_the_detector_fails_alone(
    cropper: Cropper, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    detect = cropper._find.detect

    def refuse_narrow_photos(photos: list[np.ndarray]) -> list:
        if any(photo.shape[1] == 300 for photo in photos):
            raise RuntimeError("out of memory\nsecond line")
        return detect(photos)

    monkeypatch.setattr(cropper._find, "detect", refuse_narrow_photos)
    rows = cropper(_batch(_encode(astronaut), _encode(astronaut[:, :300]), _encode(astronaut)))
    assert rows["status"].tolist() == [OK, FAILED, OK]
    assert rows["error"][1] == "crop stage failed: RuntimeError: out of memory"
    assert np.array_equal(rows["crop"][0], rows["crop"][2])


def test_batch_gives_what_single_photos_give(cropper: Cropper, astronaut: np.ndarray, pair: np.ndarray) -> None:
    together = cropper(_batch(_encode(astronaut), _encode(pair)))
    alone = [cropper(_batch(_encode(photo))) for photo in (astronaut, pair)]
    for name in ("crop", "landmarks", "detection_score"):
        assert np.array_equal(together[name], np.concatenate([rows[name] for rows in alone])), name

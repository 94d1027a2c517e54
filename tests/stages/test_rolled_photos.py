"""A photo turned by any angle is the same photo: only where things lie in it changes, and roll."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import facerecon_ray
from facerecon_ray.config.reconstruct import ChainSettings, CropSettings, ExportSettings, ReadSettings
from facerecon_ray.geometry.crop_transform import apply_transform, turn
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import landmarks_on_vertices
from facerecon_ray.networks.face_detectors import MMOD_TO_HOG, build_detector
from facerecon_ray.networks.mmod import Detections
from facerecon_ray.stages import face_finder
from facerecon_ray.stages.chain import EXPORT, FIT, ChainPart
from facerecon_ray.stages.crop import Cropper
from facerecon_ray.stages.export import Exporter
from facerecon_ray.stages.stage import OK, Batch
from facerecon_ray.storage.schema import manifest_rows

PHOTO = Path(facerecon_ray.__file__).parent / "assets" / "photos" / "synthetic_person_28.jpg"
ANGLES = (0.0, 90.0, 180.0, 270.0, 45.0)


class KnownFaces:
    """A detector that is told where the faces are; one list a photo."""

    box_adjustment = MMOD_TO_HOG

    def __init__(self, faces: list[Detections]) -> None:
        self._faces = faces
        self.photos_at_once = len(faces)

    def detect(self, photos: list[np.ndarray]) -> list[Detections]:
        assert len(photos) == len(self._faces)
        return self._faces


def turned_photo(photo: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """A photo turned clockwise on a canvas that holds all of it, and the way (2, 3) of its points."""
    linear = turn(angle)
    size = np.array(photo.shape[1::-1])
    corners = np.array([[0, 0], [size[0], 0], [0, size[1]], size]) @ linear.T
    canvas = np.ceil(np.ptp(corners, axis=0) - 1e-6).astype(int)
    way = np.concatenate([linear, (canvas / 2 - linear @ (size / 2))[:, None]], 1)
    matrix = way.copy()
    matrix[:, 2] += matrix[:, :2].sum(1) / 2 - 0.5
    return cv2.warpAffine(photo, matrix, canvas.tolist(), flags=cv2.INTER_CUBIC), way


@pytest.fixture(scope="module")
def ways() -> np.ndarray:
    """(5, 2, 3) where the points of the photo lie in the turned ones."""
    photo = np.asarray(Image.open(PHOTO))
    return np.stack([turned_photo(photo, angle)[1] for angle in ANGLES])


def turned_rows(landmarks: str) -> Batch:
    """Rows of the crop stage of the photo at all angles."""
    photo = np.asarray(Image.open(PHOTO))
    box = build_detector(CropSettings(device="cpu")).detect([photo])[0].boxes[:1]
    files, faces = [], []
    for angle in ANGLES:
        pixels, way = turned_photo(photo, angle)
        contents = io.BytesIO()
        Image.fromarray(pixels).save(contents, "PNG")
        files.append(contents.getvalue())
        middle, half = apply_transform(way, (box[:, :2] + box[:, 2:]) / 2), (box[:, 2:] - box[:, :2]) / 2
        turned = np.concatenate([middle - half, middle + half], 1).astype(np.float32)
        faces.append(Detections(turned, np.ones(1, np.float32), np.float32([angle])))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_finder, "build_detector", lambda settings: KnownFaces(faces))
        crop = Cropper(CropSettings.model_validate({"device": "cpu", "landmarks": landmarks}), ReadSettings())
    count = len(files)
    return crop(
        {
            "photo_uri": np.array([str(angle) for angle in ANGLES], object),
            "photo_bytes": np.array(files, object),
            "status": np.full(count, OK, object),
            "error": np.full(count, "", object),
        }
    )


@pytest.fixture(scope="module")
def rows() -> Batch:
    """The photo at all angles, through all stages."""
    settings = ChainSettings(export=ExportSettings(topology="model"))
    batch = ChainPart(settings, FIT, EXPORT)(turned_rows("network"))
    assert batch["error"].tolist() == [""] * len(ANGLES)
    return batch


def away(points: np.ndarray, upright: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """(5,) how far points (5, 68, 2) are from where upright ones lie in the turned photos, shares of the face."""
    expected = apply_transform(ways, upright)
    size = np.sqrt(np.ptp(upright, axis=0).prod())
    return np.linalg.norm(points - expected, axis=-1).mean(-1) / size


def test_landmarks_and_pose_turn_with_the_photo(rows: Batch, ways: np.ndarray) -> None:
    assert away(rows["landmarks"], rows["landmarks"][0], ways).max() < 0.01
    assert away(rows["landmarks_3d"][..., :2], rows["landmarks_3d"][0, :, :2], ways).max() < 0.01
    # The jaw's landmarks slide.
    np.testing.assert_allclose(rows["landmarks_3d"][1:, 17:, 2], [rows["landmarks_3d"][0, 17:, 2]] * 4, atol=2.0)
    turned = rows["pose"] - rows["pose"][0]
    np.testing.assert_allclose(turned[:, :2], 0, atol=1.0)
    np.testing.assert_allclose((turned[:, 2] - ANGLES + 180) % 360 - 180, 0, atol=1.0)
    assert np.abs(rows["pose"]).max() <= 180


def test_crop_shows_the_face_upright_and_the_mesh_is_the_same(rows: Batch) -> None:
    for row in range(1, len(ANGLES)):
        assert np.abs(rows["crop"][row, 60:200, 60:200].astype(int) - rows["crop"][0, 60:200, 60:200]).mean() < 7
    np.testing.assert_allclose(rows["rotated_yaw"], rows["rotated_yaw"][0], atol=1.0)
    meshes = Exporter(ExportSettings()).meshes(rows, "model")
    for mesh in meshes[1:]:
        assert np.linalg.norm(mesh.vertices - meshes[0].vertices, axis=1).mean() < 0.0005
        assert np.abs(mesh.texture.astype(int) - meshes[0].texture).mean() < 6


def test_dlibs_landmarks_turn_with_the_photo(ways: np.ndarray) -> None:
    found = turned_rows("dlib")["landmarks"]
    assert away(found, found[0], ways).max() < 0.015


def test_manifest_row_projects_the_model_into_the_photo(rows: Batch) -> None:
    uris = {name: np.full(len(ANGLES), "", object) for name in ("mesh_uri", "preview_uri")}
    model = FaceModel.default()
    for row in manifest_rows({**rows, **uris}).to_pylist():
        shape, expression = (torch.tensor([row[name]]) for name in ("shape", "expression"))
        vertices = model.vertices(shape, expression)
        level = torch.tensor([[row["pose"]["yaw"], row["pose"]["pitch"], 0.0]])
        points = landmarks_on_vertices(model, vertices, level)[0].numpy()

        yaw, pitch, roll = np.radians([row["pose"][name] for name in ("yaw", "pitch", "roll")])
        about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        about_x = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
        about_z = np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        rotation = about_z @ about_x @ about_y
        linear, shift = np.split(np.array(row["crop_transform"]), [2], axis=1)
        origin = np.linalg.solve(linear, (row["camera"]["x"], row["camera"]["y"]) - shift[:, 0])
        size = np.sqrt(np.linalg.det(linear))
        ray = size * np.linalg.solve(linear, (row["camera"]["ray_x"], row["camera"]["ray_y"]))
        a, b, c = (-ray[0], ray[1], 1) / np.sqrt((ray**2).sum() + 1)
        sight = [[1 - a * a / (1 + c), -a * b / (1 + c), a], [-a * b / (1 + c), 1 - b * b / (1 + c), b], [-a, -b, c]]
        seen = (points @ rotation.T @ np.array(sight).T) * (1, -1, 1)
        nearer = 1 - row["camera"]["nearness"] * seen[:, 2:]

        in_photo = origin + row["camera"]["scale"] / size * (seen[:, :2] + ray * seen[:, 2:]) / nearer
        apart = np.abs(in_photo - np.array(row["landmarks_3d"])[:, :2])
        # landmarks_3d are read off the position map, whose pixels are coarse at the rim of the lips.
        assert apart.max() < 1.5
        assert apart.mean() < 0.3

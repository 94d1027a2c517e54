import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import trimesh
from PIL import Image

import facerecon_ray
from facerecon_ray.config.reconstruct import FitSettings
from facerecon_ray.errors import AssetError, InputError, OutputError, PhotoError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.networks.mmod import Detections
from facerecon_ray.stages.face_finder import FaceFinder
from facerecon_ray.stages.fit import Fitter


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """(512, 512, 3) uint8, one face."""
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def face(photo: np.ndarray) -> facerecon_ray.Face:
    (face,) = facerecon_ray.reconstruct(photo, device="cpu")
    return face


def test_a_photo_gives_a_mesh_with_pose_and_landmarks(face: facerecon_ray.Face) -> None:
    assert face.vertices.shape == (len(UvLayout.of(FaceModel.default()).vertices), 3)
    assert face.triangles.max() == len(face.vertices) - 1
    assert face.coloured_mesh.vertices.shape == (int(UvLayout.of(FaceModel.default()).mask.sum()), 3)
    assert face.texture.shape == (256, 256, 3)
    assert face.uv.shape == (len(face.vertices), 2)
    width = np.ptp(face.vertices[:, 0])
    assert 0.10 < width < 0.20
    assert np.abs(face.pose).max() < 25
    assert 0.5 < face.quality <= 1.0
    assert face.position_map.shape == face.crop.shape == face.rotated.shape == (256, 256, 3)


def test_3d_landmarks_lie_on_the_2d_ones(face: facerecon_ray.Face) -> None:
    low, high = face.landmarks.min(0), face.landmarks.max(0)
    distance = np.linalg.norm(face.landmarks_3d[:, :2] - face.landmarks, axis=1)
    assert distance.mean() < 0.04 * np.sqrt((high - low).prod())
    centre = (face.bbox[:2] + face.bbox[2:]) / 2
    assert (low < centre).all()
    assert (centre < high).all()
    nose_tip, ear = face.landmarks_3d[30], face.landmarks_3d[0]
    assert nose_tip[2] > ear[2] + 0.3 * (high - low)[0]


def test_the_texture_is_the_photos(face: facerecon_ray.Face, photo: np.ndarray) -> None:
    """The colours at the landmarks' places in the photo are those of the mesh's nearest vertices."""
    colours = face.mesh.vertex_colours().astype(float)
    nose = face.vertices[:, 2].argmax()
    x, y = face.landmarks_3d[30, :2].astype(int)
    assert np.abs(colours[nose] - photo[y - 2 : y + 3, x - 2 : x + 3].mean((0, 1))).max() < 40


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".PLY"])
def test_export_writes_a_file_that_opens(face: facerecon_ray.Face, tmp_path: Path, suffix: str) -> None:
    path = face.export(tmp_path / f"face{suffix}")
    mesh = trimesh.load(path, process=False, force="mesh")
    written = face.mesh if suffix == ".glb" else face.coloured_mesh
    assert len(mesh.vertices) == len(written.vertices)
    height = np.ptp(written.vertices[:, 1]) * (1.0 if suffix == ".glb" else 1000.0)
    assert np.ptp(mesh.vertices[:, 1]) == pytest.approx(height, rel=1e-4)


def test_export_refuses_other_suffixes_and_missing_folders(face: facerecon_ray.Face, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.glb, \.obj, \.ply"):
        face.export(tmp_path / "face.stl")
    with pytest.raises(OutputError, match="cannot be written"):
        face.export(tmp_path / "nowhere" / "face.glb")


def test_every_form_of_an_image_gives_the_same_face(
    face: facerecon_ray.Face, photo: np.ndarray, tmp_path: Path
) -> None:
    picture = Image.fromarray(photo)
    contents = io.BytesIO()
    picture.save(contents, "PNG")
    path = tmp_path / "photo.png"
    path.write_bytes(contents.getvalue())
    for image in (picture, contents.getvalue(), path, str(path)):
        (other,) = facerecon_ray.reconstruct(image, device="cpu")
        assert np.abs(other.vertices - face.vertices).max() < 3e-4


def test_the_focal_length_in_exif_decides_how_far_the_face_is(photo: np.ndarray) -> None:
    distances = []
    for film in (26, 104):
        exif, contents = Image.Exif(), io.BytesIO()
        exif.get_ifd(0x8769)[0xA405] = film
        Image.fromarray(photo).save(contents, "JPEG", quality=95, exif=exif)
        # A PIL image keeps its EXIF on its way through a file.
        for image in (contents.getvalue(), Image.open(contents)):
            (face,) = facerecon_ray.reconstruct(image, device="cpu")
            distances.append(face.distance)
    wide, wide_image, long, long_image = distances
    # Four times as long a lens; how near the face looks has a say as well.
    assert 2.5 < long / wide < 5.0
    assert wide_image == pytest.approx(wide, rel=0.02) and long_image == pytest.approx(long, rel=0.02)


def test_model_topology_has_the_models_vertices(photo: np.ndarray) -> None:
    (face,) = facerecon_ray.reconstruct(photo, topology="model", device="cpu")
    assert 1000 < len(face.vertices) < 4000


def test_a_photo_without_a_face_gives_no_faces() -> None:
    assert facerecon_ray.reconstruct(skimage.data.page(), device="cpu") == []


def test_what_the_detector_takes_for_a_face_is_left_out_beside_one_and_refused_alone(
    photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    detect, shoulder = FaceFinder.detect, np.float32([[300, 110, 440, 250]])

    def with_a_shoulder(finder: FaceFinder, pictures: Sequence[np.ndarray]) -> list[Detections]:
        (found,) = detect(finder, pictures)
        boxes = np.concatenate([shoulder, found.boxes])
        return [Detections.upright(boxes, np.arange(len(boxes), 0, -1, dtype=np.float32))]

    monkeypatch.setattr(FaceFinder, "detect", with_a_shoulder)
    (face,) = facerecon_ray.reconstruct(photo, device="cpu")
    assert face.bbox[1] < 256
    with pytest.raises(PhotoError, match="no face can be fitted here"):
        facerecon_ray.reconstruct(np.ascontiguousarray(photo[250:]), device="cpu")


def test_what_is_no_photo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.jpg: No such file"):
        facerecon_ray.reconstruct(tmp_path / "missing.jpg", device="cpu")
    with pytest.raises(InputError, match="float64"):
        facerecon_ray.reconstruct(np.zeros((64, 64, 3)), device="cpu")
    with pytest.raises(PhotoError, match="not a JPEG"):
        facerecon_ray.reconstruct(b"hello", device="cpu")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF"])
def test_a_damaged_pil_image_is_refused_like_its_file(kind: str, photo: np.ndarray) -> None:
    contents = io.BytesIO()
    Image.fromarray(photo).save(contents, kind)
    with (
        Image.open(io.BytesIO(contents.getvalue()[: len(contents.getvalue()) // 2])) as image,
        pytest.raises(PhotoError, match=r"truncated|damaged"),
    ):
        facerecon_ray.reconstruct(image, device="cpu")


def test_a_closed_pil_image_is_refused(photo: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    with Image.open(tmp_path / "photo.png") as image:
        pass
    with pytest.raises(PhotoError, match="file was closed before its pixels were read"):
        facerecon_ray.reconstruct(image, device="cpu")


def test_only_what_exists_can_be_imported() -> None:
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = facerecon_ray.nothing_of_that_name


def test_a_face_model_that_no_fitter_knows_is_fitted_to_the_landmarks(photo: np.ndarray, tmp_path: Path) -> None:
    model = FaceModel.default()
    replace(model, mean=model.mean * 1.02).save(tmp_path / "larger.npz")
    (usual,) = facerecon_ray.reconstruct(photo)
    (other,) = facerecon_ray.reconstruct(photo, face_model=tmp_path / "larger.npz")
    assert np.abs(other.pose - usual.pose).max() < 6.0
    with pytest.raises(AssetError, match="for another face model"):
        Fitter(FitSettings(), tmp_path / "larger.npz")


def test_two_photos_of_a_person_give_one_face_in_the_first(face: facerecon_ray.Face, photo: np.ndarray) -> None:
    side = np.ascontiguousarray(photo[:, ::-1])
    (both,) = facerecon_ray.reconstruct(photo, side, device="cpu")
    assert both.pose == pytest.approx(face.pose, abs=2.5) and both.bbox == pytest.approx(face.bbox)
    assert np.array_equal(both.crop, face.crop) and not np.array_equal(both.rotated, face.rotated)
    assert 1e-4 < np.abs(both.vertices - face.vertices).max() < 0.02
    with pytest.raises(PhotoError, match="side photo: no face was found"):
        facerecon_ray.reconstruct(photo, skimage.data.page(), device="cpu")
    assert facerecon_ray.reconstruct(skimage.data.page(), photo, device="cpu") == []
    with pytest.raises(InputError, match="No such file"):
        facerecon_ray.reconstruct(photo, "missing.jpg", device="cpu")

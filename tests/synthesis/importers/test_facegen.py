import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from foreign_files import Basel, WriterFaceGen

from facerecon_ray.config.importing import ImportSettings
from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.errors import InputError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.stages.face_finder import FaceFinder
from facerecon_ray.synthesis.importers.facegen import FaceGenImporter
from facerecon_ray.synthesis.importers.imported_view import ImportedView, ImportFailure

ANGLES, CAMERA = ("yaw", "pitch", "roll"), ("yaw", "pitch", "roll", "scale", "x", "y")

VERTICES = len(FaceModel.default().mean)

Entries = dict[str, ImportedView | ImportFailure]


def nothing_found(_: np.ndarray) -> None:
    return None


@pytest.fixture(scope="module")
def find() -> FaceFinder:
    return FaceFinder(CropSettings(device="cpu", landmarks="dlib"))


def read(
    basel: Basel, folder: Path, find: Callable[[np.ndarray], np.ndarray | None] = nothing_found, subject: int = 0
) -> Entries:
    importer = FaceGenImporter(ImportSettings(layout="facegen", folder=folder, face_model=basel.path), find)
    return {entry.name: entry for entry in importer.views(importer.sources()[subject])}


def errors(entries: Entries, truth: dict[int, np.ndarray], number: int) -> dict[int, float]:
    """Mean distance of the mesh to where it is, by render, as a share of the true mesh's height."""
    found = {index: entries[f"{number}/render_{index}.png"] for index in truth}
    return {
        index: float(np.linalg.norm((view.vertices - truth[index])[:, :2], axis=1).mean() / np.ptp(truth[index][:, 1]))
        for index, view in found.items()
        if isinstance(view, ImportedView)
    }


def test_with_whole_cameras_beside_the_renders_the_mesh_lies_exactly_there(
    basel: Basel, write_facegen: WriterFaceGen
) -> None:
    truth = write_facegen(12, CAMERA)
    entries = read(basel, write_facegen.folder)
    assert len(entries) == 8
    found = errors(entries, truth, 12)
    assert len(found) == 8 and max(found.values()) < 1e-4
    for index in truth:
        view = entries[f"12/render_{index}.png"]
        assert isinstance(view, ImportedView)
        assert view.image.shape == (256, 256, 3)
        assert view.attributes == {"yaw_bin": 22.5 * index}
        assert np.ptp(view.vertices[:, 2] - truth[index][:, 2]) < 0.05, "depths differ by the origin's alone"


def test_with_angles_beside_the_renders_only_scale_and_place_are_recovered(
    basel: Basel, write_facegen: WriterFaceGen, find: FaceFinder
) -> None:
    truth = write_facegen(3, ANGLES, painted=True)
    found = errors(read(basel, write_facegen.folder, find), truth, 3)
    assert len(found) == 8 and max(found.values()) < 0.012


def test_without_any_file_poses_are_recovered_from_the_pictures(
    basel: Basel, write_facegen: WriterFaceGen, find: FaceFinder
) -> None:
    truth = write_facegen(2, seed=2, painted=True)
    found = list(errors(read(basel, write_facegen.folder, find), truth, 2).values())
    assert len(found) >= 6, "the others say that their pose is not known"
    assert np.median(found) < 0.012
    assert max(found) < 0.04


def test_a_render_whose_pose_is_not_known_says_what_helps(basel: Basel, write_facegen: WriterFaceGen) -> None:
    write_facegen(1)
    entries = read(basel, write_facegen.folder)
    assert all(isinstance(entry, ImportFailure) for entry in entries.values())
    failure = entries["1/render_-4.png"]
    assert isinstance(failure, ImportFailure)
    assert "render_-4.png: its pose could not be recovered" in failure.reason
    assert "render_-4.json" in failure.reason


def test_a_missing_or_broken_render_fails_alone(basel: Basel, write_facegen: WriterFaceGen) -> None:
    write_facegen(5, CAMERA)
    folder = write_facegen.folder / "5"
    (folder / "render_2.png").unlink()
    (folder / "render_-1.png").write_bytes(b"no picture")
    (folder / "render_0.json").write_text(json.dumps({"yaw": 3.0}))
    entries = read(basel, write_facegen.folder)
    reasons = {name: entry.reason for name, entry in entries.items() if isinstance(entry, ImportFailure)}
    assert set(reasons) == {"5/render_2.png", "5/render_-1.png", "5/render_0.png"}
    assert "5/render_2.png: it is missing; render_-4.png to render_3.png were expected" in reasons["5/render_2.png"]
    assert "5/render_-1.png: the file is not a JPEG" in reasons["5/render_-1.png"]
    assert "5/render_0.json: JSON with the numbers yaw, pitch and roll" in reasons["5/render_0.png"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda points: points[:-1],
            f"it has {VERTICES - 1} vertices; {VERTICES} were expected",
        ),
        (lambda points: np.random.default_rng(0).permutation(points), "away from the mean face"),
        (lambda points: points * (-1, 1, 1), "away from the mean face"),
        (lambda points: points[:, [0, 2, 1]] * (1, -1, 1), "the face is turned by 90 degrees; y up"),
    ],
)
def test_a_mesh_of_another_kind_fails_its_subject(
    basel: Basel, write_facegen: WriterFaceGen, change: Callable[[np.ndarray], np.ndarray], reason: str
) -> None:
    write_facegen.folder.joinpath("4").mkdir(parents=True)
    points = change(basel.mean.reshape(-1, 3))
    text = "".join(f"v {x} {y} {z}\n" for x, y, z in points)
    write_facegen.folder.joinpath("4", "subject_4.obj").write_text(text)
    (failure,) = read(basel, write_facegen.folder).values()
    assert isinstance(failure, ImportFailure) and failure.name == "4/subject_4.obj"
    assert "subject_4.obj: " in failure.reason and reason in failure.reason


def test_subjects_are_in_the_order_of_their_numbers(basel: Basel, tmp_path: Path) -> None:
    for number in (10, 9, 100):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / f"subject_{number}.obj").write_text("")
    (tmp_path / "notes").mkdir()
    importer = FaceGenImporter(ImportSettings(layout="facegen", folder=tmp_path, face_model=basel.path), nothing_found)
    assert [source.subject for source in importer.sources()] == ["9", "10", "100"]


def test_a_folder_of_another_layout_is_refused(basel: Basel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing: there is no such folder"):
        read(basel, tmp_path / "missing")
    (tmp_path / "7").mkdir()
    with pytest.raises(InputError, match=r"no subjects; N/subject_N\.obj with N/render_-4\.png to N/render_3\.png"):
        read(basel, tmp_path)

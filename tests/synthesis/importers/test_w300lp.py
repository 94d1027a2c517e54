from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_files import Basel, Writer300wlp, pose_para

from facerecon_ray.config.importing import ImportSettings
from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.errors import AssetError, InputError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.stages.face_finder import FaceFinder
from facerecon_ray.synthesis.importers.imported_view import ImportedView, ImportFailure
from facerecon_ray.synthesis.importers.w300lp import Importer300wlp

POSES = {0: pose_para(8, 6, -12), 1: pose_para(-30, -10, 5, 240, 210), 2: pose_para(-85, 4, 9, 200, 230)}


def importer(write: Writer300wlp, **changes: Any) -> Importer300wlp:
    settings = {"layout": "300wlp", "folder": write.folder, "face_model": write.basel.path, **changes}
    return Importer300wlp(ImportSettings(**settings))


def only(write: Writer300wlp, **changes: Any) -> ImportedView | ImportFailure:
    reader = importer(write, **changes)
    (source,) = reader.sources()
    (entry,) = reader.views(source)
    return entry


def test_the_mesh_lies_where_the_data_sets_own_formula_puts_it(write_300wlp: Writer300wlp) -> None:
    truth = {
        f"AFW/AFW_7_1_{number}.jpg": write_300wlp(f"AFW/AFW_7_1_{number}", pose) for number, pose in POSES.items()
    }
    reader = importer(write_300wlp)
    (source,) = reader.sources()
    views = list(reader.views(source))
    assert [view.name for view in views] == sorted(truth)
    for view in views:
        assert isinstance(view, ImportedView)
        assert np.abs(view.vertices - truth[view.name]).max() < 0.01
        assert view.image.shape == (450, 450, 3)
    yaws = [view.pose[0] for view in views if isinstance(view, ImportedView)]
    assert np.sign(yaws).tolist() == [-1, 1, 1], "a positive yaw of the data set looks to the image's left"


def test_landmarks_found_in_the_picture_lie_on_the_mesh(write_300wlp: Writer300wlp) -> None:
    write_300wlp("HELEN/HELEN_3_1_0", pose_para(12, 5, -10), painted=True)
    reader = importer(write_300wlp)
    view = only(write_300wlp)
    assert isinstance(view, ImportedView)
    found = FaceFinder(CropSettings(device="cpu", landmarks="dlib"))(view.image)
    assert found is not None
    landmarks = projected_landmarks(reader.model, view.head, view.camera)[0, :, :2].numpy()
    error = np.linalg.norm(found - landmarks, axis=1)[17:].mean() / np.ptp(landmarks, axis=0).max()
    assert error < 0.04


def test_a_photo_and_its_mirrored_twin_are_sources_of_one_subject(write_300wlp: Writer300wlp) -> None:
    for name in (
        "AFW/AFW_1_1_0",
        "AFW/AFW_1_1_10",
        "AFW/AFW_1_1_2",
        "AFW_Flip/AFW_1_1_0",
        "LFPW/LFPW_image_test_0001_0",
    ):
        write_300wlp(name, pose_para())
    (write_300wlp.folder / "Code").mkdir()
    (write_300wlp.folder / "Code" / "sample_0.jpg").write_bytes(b"")
    (write_300wlp.folder / "AFW" / "readme.jpg").write_bytes(b"")
    sources = {source.name: source for source in importer(write_300wlp).sources()}
    assert list(sources) == ["AFW/AFW_1_1", "AFW_Flip/AFW_1_1", "LFPW/LFPW_image_test_0001"]
    assert sources["AFW/AFW_1_1"].files == tuple(f"AFW/AFW_1_1_{k}.jpg" for k in (0, 2, 10))
    assert sources["AFW_Flip/AFW_1_1"].subject == sources["AFW/AFW_1_1"].subject == "AFW/AFW_1_1"


def test_only_the_frontal_picture_has_sides(write_300wlp: Writer300wlp) -> None:
    for number, pose in POSES.items():
        write_300wlp(f"IBUG/IBUG_1_{number}", pose)
        write_300wlp(f"IBUG/IBUG_2_{number}", POSES[2] if number == 0 else pose)
    reader = importer(write_300wlp)
    views = {view.name: view for source in reader.sources() for view in reader.views(source)}
    sides = {
        name: [side.name for side in view.sides] for name, view in views.items() if isinstance(view, ImportedView)
    }
    assert sides.pop("IBUG/IBUG_1_0.jpg") == ["IBUG/IBUG_1_1.jpg", "IBUG/IBUG_1_2.jpg"]
    assert len(sides) == 5 and not any(sides.values())


@pytest.mark.parametrize("key", ["Pose_Para", "Shape_Para", "Exp_Para", "pt2d"])
def test_a_missing_key_fails_that_picture_only(write_300wlp: Writer300wlp, key: str) -> None:
    write_300wlp("AFW/AFW_1_1_0", pose_para(), **{key: None})
    write_300wlp("AFW/AFW_1_1_1", pose_para(20))
    reader = importer(write_300wlp)
    failure, view = reader.views(reader.sources()[0])
    assert isinstance(failure, ImportFailure) and failure.name == "AFW/AFW_1_1_0.jpg"
    assert "AFW_1_1_0.mat" in failure.reason and "expected" in failure.reason
    assert isinstance(view, ImportedView)


def test_a_picture_that_cannot_be_read_is_named(write_300wlp: Writer300wlp) -> None:
    write_300wlp("AFW/AFW_1_1_0", pose_para())
    (write_300wlp.folder / "AFW" / "AFW_1_1_0.jpg").write_bytes(b"no picture")
    failure = only(write_300wlp)
    assert isinstance(failure, ImportFailure) and "AFW_1_1_0.jpg: the file is not a JPEG" in failure.reason


def test_a_mesh_beside_its_landmarks_is_refused(write_300wlp: Writer300wlp) -> None:
    moved = write_300wlp.annotation(pose_para())["pt2d"] + 40
    write_300wlp("AFW/AFW_1_1_0", pose_para(), pt2d=moved)
    failure = only(write_300wlp)
    assert isinstance(failure, ImportFailure) and "away from the landmarks" in failure.reason
    assert isinstance(only(write_300wlp, largest_misfit=1.0), ImportedView)


def test_coefficients_that_give_no_mesh_are_refused(write_300wlp: Writer300wlp) -> None:
    write_300wlp("AFW/AFW_1_1_0", pose_para(), Shape_Para=np.full((199, 1), 1e300))
    failure = only(write_300wlp)
    assert isinstance(failure, ImportFailure) and "AFW_1_1_0.mat: the coefficients" in failure.reason


def test_a_folder_of_another_layout_is_refused(basel: Basel, tmp_path: Path) -> None:
    def sources(folder: Path) -> None:
        Importer300wlp(ImportSettings(layout="300wlp", folder=folder, face_model=basel.path)).sources()

    with pytest.raises(InputError, match=r"missing: there is no such folder"):
        sources(tmp_path / "missing")
    with pytest.raises(InputError, match=r"no pictures; SUBSET/NAME_0\.jpg with SUBSET/NAME_0\.mat was expected"):
        sources(tmp_path)
    (tmp_path / "AFW_1_1_0.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"no picture has a \.mat beside it; AFW_1_1_0\.mat was expected"):
        sources(tmp_path)


def test_another_face_model_is_refused(write_300wlp: Writer300wlp, tmp_path: Path) -> None:
    FaceModel.default().save(tmp_path / "other.npz")
    with pytest.raises(AssetError, match=r"other\.npz: imported meshes belong to the Basel Face Model"):
        importer(write_300wlp, face_model=tmp_path / "other.npz")


def test_a_saved_basel_model_serves_as_well_as_its_files(write_300wlp: Writer300wlp, tmp_path: Path) -> None:
    write_300wlp("AFW/AFW_1_1_0", pose_para(10, 5, 5))
    importer(write_300wlp).model.save(tmp_path / "basel.npz")
    first, second = only(write_300wlp), only(write_300wlp, face_model=tmp_path / "basel.npz")
    assert isinstance(first, ImportedView) and isinstance(second, ImportedView)
    assert np.abs(first.vertices - second.vertices).max() < 0.1

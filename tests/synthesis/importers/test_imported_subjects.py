import numpy as np
import pytest
import torch
from foreign_files import Writer300wlp, pose_para

from facerecon_ray.config.importing import ImportSettings
from facerecon_ray.errors import InputError
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.synthesis.importers.imported_subjects import ImportedSubjects


def subjects(write: Writer300wlp) -> ImportedSubjects:
    settings = ImportSettings(layout="300wlp", folder=write.folder, face_model=write.basel.path)
    return ImportedSubjects(settings, lambda _: None)


def test_rows_of_a_subject_carry_mesh_picture_and_reason(write_300wlp: Writer300wlp) -> None:
    truth = write_300wlp("AFW/AFW_1_1_0", pose_para(5, 3, 2))
    write_300wlp("AFW/AFW_1_1_1", pose_para(-35), Shape_Para=None)
    write_300wlp("AFW_Flip/AFW_1_1_0", pose_para(-5, 3, -2))
    write_300wlp("HELEN/HELEN_2_1_0", pose_para())
    found = subjects(write_300wlp)
    assert len(found) == 2 and found.name == "300wlp"
    photos = found.subject(0).photos()
    assert photos["origin"].tolist() == ["AFW/AFW_1_1_0.jpg", "AFW/AFW_1_1_1.jpg", "AFW_Flip/AFW_1_1_0.jpg"]
    assert photos["status"].tolist() == ["ok", "failed", "ok"]
    assert photos["error"][0] == "" and "AFW_1_1_1.mat: there is no Shape_Para" in photos["error"][1]
    assert photos["subject"].tolist() == [0, 0, 0] and len(set(photos["subject_seed"].tolist())) == 1
    assert np.abs(photos["points"][0] - truth).max() < 0.01
    assert [photo.shape for photo in photos["photo"]] == [(450, 450, 3), (16, 16, 3), (450, 450, 3)]


def test_the_position_map_gives_the_mesh_back_in_profile_too(write_300wlp: Writer300wlp) -> None:
    truth = write_300wlp("AFW/AFW_1_1_0", pose_para(85, 3, 2)) * (CROP_SIZE / 450)
    found = subjects(write_300wlp)
    layout = UvLayout.of(found.model)
    points = torch.from_numpy(found.subject(0).photos()["points"]) * (CROP_SIZE / 450)
    mapped = layout.vertices_from_map(layout.position_map(points))[0].numpy()
    error = np.linalg.norm(mapped - truth[layout.vertices], axis=1)
    assert error.mean() < 0.002 * np.ptp(truth[:, 1])


def test_seeds_belong_to_names(write_300wlp: Writer300wlp) -> None:
    write_300wlp("HELEN/HELEN_2_1_0", pose_para())
    before = subjects(write_300wlp).seed(0)
    write_300wlp("AFW/AFW_1_1_0", pose_para())
    after = subjects(write_300wlp)
    assert after.seed(1) == before != after.seed(0)
    assert 0 <= before < 2**63
    with pytest.raises(InputError, match="it has 2 subjects; there is no number 2"):
        after.subject(2)


def test_frontal_pictures_get_real_side_pictures(write_300wlp: Writer300wlp) -> None:
    for number, yaw in enumerate((-4, -20, -36, -60)):
        write_300wlp(f"AFW/AFW_1_1_{number}", pose_para(yaw, 6, 3))
    subject = subjects(write_300wlp).subject(0)
    transforms = np.tile([[0.8, 0.0, -50.0], [0.0, 0.8, -50.0]], (4, 1, 1))
    poses = np.array([(4, -6, -3), (20, -6, -3), (36, -6, -3), (60, -6, -3)], np.float32)
    wanted = np.array([(34, 0, -3), (50, 0, -3), (66, 0, -3), (30, 0, -3)], np.float32)
    turned = subject.turned({"crop_transform": transforms, "pose": poses}, wanted)
    assert turned["true_rotated"].shape == (4, CROP_SIZE, CROP_SIZE, 3)
    assert turned["true_rotated"].any((1, 2, 3)).tolist() == [True, False, False, False]
    yaw, pitch, roll = turned["true_rotated_pose"][0]
    assert abs(yaw - 36) < 1 and (pitch, roll) == (0, -3)
    assert not turned["true_rotated_pose"][1:].any()

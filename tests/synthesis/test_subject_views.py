from pathlib import Path

import numpy as np
import pytest

from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.crop_transform import CROP_SIZE, crop_transform
from facerecon_ray.synthesis.subject_views import Photographer

YAWS = (-60.0, 0.0)


@pytest.fixture(scope="module")
def job() -> SynthesisJob:
    pytest.importorskip("anny", reason="sampling heads needs the package anny (the extra 'synthesis')")
    return SynthesisJob.model_validate({"output": "unused", "views": {"yaws": YAWS}, "occluders": {"share": 0.0}})


@pytest.fixture(scope="module")
def photographer(job: SynthesisJob) -> Photographer:
    return Photographer(job)


def test_a_subject_is_equal_to_the_bit_whoever_was_made_before(photographer: Photographer) -> None:
    first = photographer.subject(5).photos()
    photographer.subject(6).photos()
    again = photographer.subject(5).photos()
    for name in ("photo", "points", "surface", "noise_seed", "subject_seed"):
        np.testing.assert_array_equal(again[name], first[name], err_msg=name)
    assert again["attributes"][0] == first["attributes"][0]


def test_seeds_of_subjects_differ_and_depend_on_the_data_sets_seed(photographer: Photographer) -> None:
    seeds = {photographer.seed(number) for number in range(1000)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    other = object.__new__(Photographer)
    other._seed = 1
    assert other.seed(0) not in seeds


def test_the_true_turned_head_keeps_its_place_and_gets_the_wanted_pose(photographer: Photographer) -> None:
    subject = photographer.subject(7)
    photos = subject.photos()
    transform = np.stack(
        [crop_transform(points[photographer.model.face_vertices[:68], :2]) for points in photos["points"]]
    )
    pose = np.array([view.angles for view in subject.views], np.float32)
    known = {**photos, "crop_transform": transform, "pose": pose}
    same = subject.turned(known, pose)
    turned = subject.turned(known, pose + np.array([30.0, 0.0, 0.0], np.float32))
    assert turned["true_rotated"].shape == (len(YAWS), CROP_SIZE, CROP_SIZE, 3)
    np.testing.assert_allclose(turned["true_rotated_pose"][:, 0] - pose[:, 0], 30.0, atol=1e-4)
    difference = np.abs(same["true_rotated"].astype(int) - turned["true_rotated"]).mean((1, 2, 3))
    assert (difference > 3.0).all(), "a turned head looks different"


def test_a_face_model_with_another_mesh_is_refused(job: SynthesisJob, tmp_path: Path) -> None:
    from dataclasses import replace

    import torch

    from facerecon_ray.geometry.face_model import FaceModel

    model = FaceModel.default()
    longer = {name: getattr(model, name) for name in ("mean", "uv", "regions", "mirror")}
    longer = {name: torch.cat([values, values[:1]]) for name, values in longer.items()}
    bases = {n: torch.cat([v, v[:, :1]], 1) for n in ("shape_basis", "expression_basis") for v in [getattr(model, n)]}
    replace(model, **longer, **bases).save(tmp_path / "other.npz")
    with pytest.raises(AssetError, match="has 3316 vertices, synthetic heads 3400, with an open mouth 3315"):
        Photographer(job.model_copy(update={"face_model": tmp_path / "other.npz"}))

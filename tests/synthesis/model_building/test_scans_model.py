import json
from pathlib import Path

import numpy as np
import pytest
from scans_stand_in import save_scans, skin_of_the_embedded_model

from facerecon_ray.errors import AssetError
from facerecon_ray.synthesis.model_building.scans_model import ScansModel


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_scans(tmp_path / "scans.npz")
    return tmp_path / "scans.npz"


def test_lengths_are_metres_and_rims_run_around_the_openings(file: Path) -> None:
    scans = ScansModel.load(file)
    assert 0.15 < np.ptp(scans.mean[:, 0]) < 0.25
    vertices, _, rims = skin_of_the_embedded_model()
    for name, loop in scans.rims().items():
        assert len(set(loop.tolist())) == len(loop) > len(rims[name]), "each vertex once, between the coarse ones too"
        steps = np.linalg.norm(scans.mean[loop] - scans.mean[np.roll(loop, 1)], axis=1)
        around = np.linalg.norm(vertices[rims[name]] - vertices[np.roll(rims[name], 1)], axis=1)
        assert steps.sum() == pytest.approx(around.sum(), rel=0.12)


def test_mirrored_people_are_the_same_on_the_other_side(file: Path) -> None:
    scans = ScansModel.load(file)
    twice = scans.mirrored(scans.mirrored(scans.identity))
    assert np.abs(twice - scans.identity).mean() < 0.02 * np.abs(scans.identity).mean()


def test_landmarks_are_read_from_the_file_beside_it(file: Path, tmp_path: Path) -> None:
    with np.load(file) as arrays:
        held = dict(arrays)
    landmarks = held.pop("landmarks")
    np.savez(tmp_path / "bare.npz", **held)
    with pytest.raises(AssetError, match=r"put ICT-FaceKit's vertex_indices\.json beside it"):
        ScansModel.load(tmp_path / "bare.npz")
    (tmp_path / "vertex_indices.json").write_text(json.dumps({"idx_to_landmark_verts": landmarks.tolist()}))
    np.testing.assert_array_equal(ScansModel.load(tmp_path / "bare.npz").landmarks, landmarks)


def test_files_that_are_no_model_of_scans_are_refused_by_name(file: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="does not exist"):
        ScansModel.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(AssetError, match="is no model of scans"):
        ScansModel.load(tmp_path / "text.npz")
    with np.load(file) as arrays:
        held = dict(arrays)
    for name, value, message in (
        ("expression", held["expression"][:, :5], "expression has shape"),
        ("landmarks", held["landmarks"][:5], "not 68 of its vertices"),
    ):
        np.savez(tmp_path / "odd.npz", **{**held, name: value})
        with pytest.raises(AssetError, match=message):
            ScansModel.load(tmp_path / "odd.npz")
    for name, message in (("identity", "no array 'identity'"), ("parts", "no array 'parts'")):
        np.savez(tmp_path / "odd.npz", **{key: value for key, value in held.items() if key != name})
        with pytest.raises(AssetError, match=message):
            ScansModel.load(tmp_path / "odd.npz")

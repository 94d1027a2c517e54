from pathlib import Path

import numpy as np
import pytest
from scans_stand_in import WIDER, bulge, save_scans, skin_of_the_embedded_model

from facerecon_ray.geometry.face_model import REGIONS, FaceModel
from facerecon_ray.synthesis.model_building.correspondence import find_correspondence, match_loops
from facerecon_ray.synthesis.model_building.scans_model import ScansModel


def test_points_around_an_opening_keep_their_share_of_the_way_between_the_corners() -> None:
    around = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    loop = np.stack([2 * np.cos(around), np.sin(around), 0 * around], 1)
    fine = np.linspace(0.0, 2 * np.pi, 400, endpoint=False)[::-1] + 1.0
    wider = np.stack([3 * np.cos(fine), 1.5 * np.sin(fine), 0 * fine + 1], 1)
    np.testing.assert_allclose(match_loops(loop, wider), loop * [1.5, 1.5, 1.0] + [0.0, 0.0, 1.0], atol=0.02)


@pytest.mark.slow
def test_people_on_another_topology_are_carried_onto_the_skin(tmp_path: Path) -> None:
    save_scans(tmp_path / "scans.npz")
    scans = ScansModel.load(tmp_path / "scans.npz")
    skin, triangles, rims = skin_of_the_embedded_model()
    model = FaceModel.default()
    ears = model.regions.numpy()[: len(skin)] == REGIONS.index("ears")
    found = find_correspondence(skin, triangles, rims, ears, scans)
    face = model.face_vertices.numpy()
    face = face[face < len(skin)]
    assert found.residual[face].mean() < 0.0001
    assert found.placed[face].mean() > 0.95
    truth = found.into_frame(skin * WIDER)
    assert np.linalg.norm(found.mean - truth, axis=1)[face].mean() < 0.002, "a vertex lands near its own place"
    expected = found.turn(bulge(skin * WIDER) / 100.0)
    error = np.linalg.norm(found.offsets(scans.identity[:1])[0] - expected, axis=1)[face]
    assert error.mean() < 0.1 * np.linalg.norm(expected, axis=1)[face].mean()
    jaw = found.offsets(scans.expression)[scans.expression_names.index("jawOpen")]
    lips = jaw[rims["mouth"], 1]
    assert lips.min() < -0.02 < -0.001 < lips.max(), "the lower lip goes down and the upper one stays: the mouth opens"

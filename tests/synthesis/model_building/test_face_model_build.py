from pathlib import Path

import numpy as np
import pytest
import torch
from scans_stand_in import WIDER, save_scans

from facerecon_ray.config.assets import FACE_MODEL
from facerecon_ray.errors import OutputError
from facerecon_ray.geometry.face_model import REGIONS, FaceModel
from facerecon_ray.geometry.mesh_topology import boundary_loops
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.synthesis.model_building import face_model_build
from facerecon_ray.synthesis.model_building.blendshapes import ARKIT_BLENDSHAPES
from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.people.head_topology import HeadTopology


def test_a_small_build_gives_a_model_like_the_embedded_one(
    tmp_path: Path, sampler: HeadSampler, topology: HeadTopology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face_model_build, "HeadSampler", lambda: sampler)
    monkeypatch.setattr(face_model_build, "build_head_topology", lambda head, triangles: topology)
    lines: list[str] = []
    face_model_build.build_face_model(
        tmp_path / "model.npz", heads=60, shape_components=12, landmark_heads=4, noise_heads=4, report=lines.append
    )
    small, ours = FaceModel.load(tmp_path / "model.npz"), FaceModel.default()
    assert small.shape_size == 12
    assert small.recipe["heads"] == 60
    # Of anny's heads alone it has a cap between the lips, whose vertices are the last ones.
    vertices = len(ours.mean)
    assert torch.equal(small.triangles[(small.triangles < vertices).all(1)], ours.triangles)
    assert (small.mean[:vertices] - ours.mean).norm(dim=-1).mean() < 0.006
    assert any("components explain" in line for line in lines)


@pytest.mark.slow
def test_a_model_of_scans_gives_its_proportions_blendshapes_and_an_open_mouth(
    tmp_path: Path, sampler: HeadSampler, topology: HeadTopology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face_model_build, "HeadSampler", lambda: sampler)
    monkeypatch.setattr(face_model_build, "build_head_topology", lambda head, triangles: topology)
    save_scans(tmp_path / "scans.npz")
    lines: list[str] = []
    for name in ("model", "again"):
        face_model_build.build_face_model(
            tmp_path / f"{name}.npz",
            heads=20,
            shape_components=12,
            scans=tmp_path / "scans.npz",
            landmarks_of=FACE_MODEL,
            report=lines.append,
        )
    assert (tmp_path / "model.npz").read_bytes() == (tmp_path / "again.npz").read_bytes(), "the same to the bit"
    assert any("from the scans' mean on average" in line for line in lines)
    model, embedded = FaceModel.load(tmp_path / "model.npz"), FaceModel.default()
    assert (model.shape_size, model.expression_size) == (12, 51)
    assert set(model.expression_names) == set(ARKIT_BLENDSHAPES) - {"tongueOut"}
    assert len(model.dense_landmarks) >= 500
    width, height, _ = (np.ptp(model.mean.numpy(), axis=0) / np.ptp(embedded.mean.numpy(), axis=0)).tolist()
    assert width / height == pytest.approx(WIDER[0] / WIDER[1], abs=0.03), "the scans' proportions"
    face = model.triangles[model.face_triangles].numpy()
    assert len(boundary_loops(face)) == 2, "the face ends at its border and between the lips"
    (rim,) = (loop for loop in boundary_loops(face) if (model.regions[loop] == REGIONS.index("mouth")).all())
    opened = model.expression_basis[model.expression_names.index("jawOpen"), rim, 1]
    assert opened.min() < -0.005 < -0.0005 < opened.max(), "the lower lip goes down, the upper one stays"
    assert torch.isfinite(model.uv[model.face_vertices]).all()
    layout = UvLayout.of(model)
    assert 0.5 < layout.mask.float().mean() < 1.0, "a hole in the map where the mouth is"
    geometry = HeadGeometry(sampler, model)
    assert geometry.surface(geometry.average).shape == model.mean.shape, "synthetic people wear it"


def test_missing_folder_is_refused_before_anything_is_sampled(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        face_model_build.build_face_model(tmp_path / "nowhere" / "model.npz")

from pathlib import Path

import pytest
import torch

from facerecon_ray.errors import OutputError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.synthesis.model_building import face_model_build
from facerecon_ray.synthesis.people.anny_heads import HeadSampler
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
    assert torch.equal(small.triangles, ours.triangles)
    assert (small.mean - ours.mean).norm(dim=-1).mean() < 0.004
    assert any("components explain" in line for line in lines)


def test_missing_folder_is_refused_before_anything_is_sampled(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        face_model_build.build_face_model(tmp_path / "nowhere" / "model.npz")

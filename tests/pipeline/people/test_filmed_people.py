from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clips import write_clip
from rich.console import Console

from facerecon_ray.config.people import PeopleJob
from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import load_job
from facerecon_ray.config.synthesis import SubjectSettings, ViewSettings
from facerecon_ray.pipeline.people.job import run_people
from facerecon_ray.pipeline.preparation import prepare
from facerecon_ray.pipeline.reconstruct import run_reconstruct
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder

YAWS = (0.0, 20.0, 40.0, 60.0, 78.0, 60.0)


def turning_head() -> list[np.ndarray]:
    """Pictures of a rendered subject who turns to the side and back."""
    from facerecon_ray.synthesis.people.subjects import SubjectSampler
    from facerecon_ray.synthesis.rendering.scene_rendering import SceneRenderer
    from facerecon_ray.synthesis.rendering.view_sampling import ViewSampler, angles_of_turned

    sampler = SubjectSampler(SubjectSettings(glasses_share=0.0, headwear_share=0.0))
    scene, renderer = sampler.dress(sampler.subject(7)), SceneRenderer()
    view = replace(
        ViewSampler(ViewSettings(yaws=(0.0,), size=320, distance=(1.0, 1.2))).view(7, 0), occluder_seed=None
    )
    return [renderer.render(scene, replace(view, angles=angles_of_turned(yaw, 0.0, 0.0))).image for yaw in YAWS]


def run(source: Path, output: Path, **settings: object) -> pa.Table:
    given = {"input": str(source), "output": str(output), "people.enabled": True, **settings}
    run_reconstruct(prepare(load_job(ReconstructJob, None, given)), Console(quiet=True))
    return pa.concat_tables(Manifest(OutputFolder(output)).tables())


@pytest.mark.slow
def test_a_filmed_head_that_turns_is_one_person_and_a_run_that_ended_early_is_continued(
    ray_cluster: None, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    clip = write_clip(tmp_path / "in" / "head.mp4", turning_head(), rate=2)
    (tmp_path / "in" / "damaged.mp4").write_bytes(clip.read_bytes()[:2000])
    frames = [f"{clip}#t={0.5 * number:.3f}" for number in range(len(YAWS))]
    first = run(tmp_path / "in", tmp_path / "out", limit=3)
    assert first["photo_uri"].to_pylist() == [f"{tmp_path}/in/damaged.mp4", *frames[:2]]
    rows = run(tmp_path / "in", tmp_path / "out")
    assert sorted(rows["photo_uri"].to_pylist()) == sorted([*frames, f"{tmp_path}/in/damaged.mp4"])
    status = dict(zip(rows["photo_uri"].to_pylist(), rows["status"].to_pylist(), strict=True))
    assert status.pop(f"{tmp_path}/in/damaged.mp4") == "unreadable"
    found = [frame for frame in frames if status[frame] == "ok"]
    assert len(found) >= 5 and (tmp_path / "out" / "meshes" / "head.mp4" / "t=0.500" / "0.glb").exists()
    job = load_job(PeopleJob, None, {"input": str(tmp_path / "out"), "output": str(tmp_path / "people")})
    assert run_people(job, lambda *_: None).people == 1
    (person,) = pq.read_table(tmp_path / "people" / "people.parquet").to_pylist()
    assert [face["photo_uri"] for face in person["faces"]] == found

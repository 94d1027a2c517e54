import pytest

from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import load_job
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.pipeline.face_files import FaceFiles
from facerecon_ray.pipeline.stage_plan import plan_stages


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("enabled", [False, True])
def test_faces_tell_of_their_persons_only_where_that_is_asked_for(pairs: bool, enabled: bool) -> None:
    settings = {"input": "in", "output": "out", "pairs": pairs, "people.enabled": enabled, "fit.device": "cpu"}
    job = load_job(ReconstructJob, None, settings)
    stages = plan_stages(job, FaceFiles("out", S3Settings(), "/", "glb", 0))
    (build,) = next(stage for stage in stages if stage.name == "fit").steps
    assert ({"descriptor", "shape_information"} <= build().outputs.keys()) == enabled

import pytest
from ray.data.exceptions import SystemException
from ray.exceptions import RayTaskError, RuntimeEnvSetupError

from facerecon_ray.cluster.worker_errors import StalledError, WorkerError, explained
from facerecon_ray.errors import AssetError, FaceReconError


def through(error: Exception, cause: Exception | None = None) -> Exception:
    with pytest.raises(Exception) as caught, explained("the same command continues"):
        raise error from cause
    return caught.value


@pytest.mark.parametrize(
    ("error", "cause", "line"),
    [
        (
            RuntimeEnvSetupError("no\nspace left"),
            None,
            r"Ray failed \(RuntimeEnvSetupError\): .*no space left.*; the",
        ),
        (RayTaskError("f", "traceback", RuntimeEnvSetupError("no pip")), None, r"\(RuntimeEnvSetupError\): .*no pip"),
        (SystemException("lost"), None, r"Ray failed \(SystemException\): lost; the same command continues"),
        (ValueError("of Ray Data"), SystemException(), r"Ray failed \(ValueError\): of Ray Data; the same command"),
    ],
)
def test_what_ray_says_of_its_own_failures_is_one_line(error: Exception, cause: Exception | None, line: str):
    found = through(error, cause)
    assert type(found) is FaceReconError and "\n" not in str(found)
    with pytest.raises(FaceReconError, match=line):
        raise found


def test_an_error_for_the_user_arrives_as_it_was_raised_and_a_mistake_in_the_program_too():
    asset, mistake, stalled = AssetError("no model"), KeyError("crop"), StalledError("crop")
    assert through(RayTaskError("f", "traceback", WorkerError(asset))) is asset
    assert through(RayTaskError("f", "traceback", asset)) is asset
    assert through(mistake) is mistake
    assert through(stalled, SystemException()) is stalled

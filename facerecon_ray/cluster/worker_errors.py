"""Errors on their way from a worker process to the driver: the user's as they were raised, Ray's own as one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import ray
import ray.data
from ray.data.exceptions import ExecutionTimeoutError, SystemException

from facerecon_ray.cluster.host_check import sick_hosts
from facerecon_ray.errors import FaceReconError

_LONGEST_REASON = 400
UNUSABLE_HOST = (ray.exceptions.RuntimeEnvSetupError, ray.exceptions.OutOfDiskError)
"""What Ray raises where whatever is done on a host fails."""

_OF_A_HOST = (
    *UNUSABLE_HOST,
    ray.exceptions.ObjectStoreFullError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.ActorDiedError,
)


class WorkerError(Exception):
    """Carries an error for the user to the driver as it is, in `args[0]`: Ray appends advice to messages."""


def told(error: ray.exceptions.RayTaskError) -> FaceReconError | None:
    """What a worker raised for the user; None where that is a mistake in this program, or Ray's own."""
    cause = error.cause.args[0] if isinstance(error.cause, WorkerError) else error.cause
    return cause if isinstance(cause, FaceReconError) else None


@contextmanager
def explained(advice: str) -> Iterator[None]:
    """Raise what a worker raised for the user, and one line where Ray itself has failed.

    What else a worker raises is a mistake in this program, and passes as it is.

    Parameters
    ----------
    advice : what to do when Ray has failed
    """
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if (for_the_user := told(error)) is not None:
            raise for_the_user from None
        if isinstance(error.cause, ray.exceptions.RayError):
            raise _failure(error.cause, advice) from None
        raise
    except (ray.exceptions.RayError, ExecutionTimeoutError, SystemException) as error:
        raise _failure(error, advice) from None
    except Exception as error:
        # Ray Data marks so what went wrong inside of it, whatever kind it is of.
        if isinstance(error.__cause__, SystemException) and not isinstance(error, StalledError | FaceReconError):
            raise _failure(error, advice) from None
        raise


class StalledError(Exception):
    """Some workers do not run and the others have nothing to do; `args[0]` says which."""


def arriving(dataset: "ray.data.Dataset") -> Iterator[pa.Table]:
    """Blocks of rows as they are done; what a worker raised for the user is raised here as it was raised there."""
    with explained("the same command continues the run"):
        yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)


def _failure(error: Exception, advice: str) -> FaceReconError:
    if isinstance(error, _OF_A_HOST) and ray.is_initialized() and (hosts := sick_hosts()):
        return FaceReconError(f"{'; '.join(hosts)}; {advice}")
    reason = " ".join(str(error).split())[:_LONGEST_REASON]
    return FaceReconError(f"Ray failed ({type(error).__name__}): {reason}; {advice}")

"""Errors for the user on their way from a worker process to the driver."""

from collections.abc import Iterator

import pyarrow as pa
import ray
import ray.data


class WorkerError(Exception):
    """Carries an error for the user to the driver as it is, in `args[0]`: Ray appends advice to messages."""


def arriving(dataset: "ray.data.Dataset") -> Iterator[pa.Table]:
    """Blocks of rows as they are done; what a worker raised for the user is raised here as it was raised there."""
    try:
        yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, WorkerError):
            raise error.cause.args[0] from None
        raise

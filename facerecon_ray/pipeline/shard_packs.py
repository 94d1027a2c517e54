"""Parts of the manifest whose faces' files lie in packs: first a pack of what workers left, then the part."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Semaphore

import pyarrow as pa
import ray

from facerecon_ray.cluster.worker_errors import WorkerError, explained
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import FaceReconError
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import Extent, assemble, delete_others, new_pack, repacked
from facerecon_ray.storage.run_lock import Check

_AT_ONCE = 16
_HERE_AT_ONCE = 2


class ShardPacks:
    """Packs the files of shards while the job goes on.

    On a cluster of several nodes what is packed passes through tasks of its nodes, not through the driver.

    Parameters
    ----------
    output : of the job
    s3 : how it is reached
    check : raises when the output is not this run's any more
    """

    def __init__(self, output: OutputFolder, s3: S3Settings, check: Check) -> None:
        self._output, self._s3, self._check = output, s3, check
        self._manifest = Manifest(output)
        self._threads = ThreadPoolExecutor(_AT_ONCE)
        self._here = Semaphore(_HERE_AT_ONCE)

    def begin(self, shard: int, rows: pa.Table, written: Callable[[], object] = lambda: None) -> Future[None]:
        """Write the pack of a shard and its part, in place of earlier ones; `written` is called then, in a thread."""

        def run() -> None:
            self._write(shard, rows)
            written()

        return self._threads.submit(run)

    def _write(self, shard: int, rows: pa.Table) -> None:
        pack = new_pack(shard)
        rows, extents = repacked(rows, pack)
        if extents:
            self._assemble(pack, extents)
        self._check()
        self._manifest.write(shard, rows)
        delete_others(self._output, shard, rows)

    def _assemble(self, pack: str, extents: list[Extent]) -> None:
        if not _has_several_nodes():
            with self._here:
                assemble(self._output, pack, extents)
            return
        # Without a CPU of its own: the stages have all of them, and this waits for the store most of the time.
        task = ray.remote(_assemble).options(num_cpus=0, scheduling_strategy="SPREAD")
        with explained("the same command continues the run"):
            ray.get(task.remote(self._output.uri, self._s3, pack, extents))


def _has_several_nodes() -> bool:
    return ray.is_initialized() and sum(node["Alive"] for node in ray.nodes()) > 1


def _assemble(output: str, s3: S3Settings, pack: str, extents: list[Extent]) -> None:
    try:
        assemble(OutputFolder(output, s3), pack, extents)
    except FaceReconError as error:
        raise WorkerError(error) from None

"""From a subject's number to its rows: photos, truth, rotated partners, and the heads as they look from there."""

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import torch

from facerecon_ray.config.reconstruct import ChainSettings
from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.errors import FaceReconError, PhotoError
from facerecon_ray.geometry.crop_transform import CROP_SIZE, apply_transform
from facerecon_ray.geometry.turned_view import followed_angles
from facerecon_ray.pipeline.synthesis.pair_source import PairSource
from facerecon_ray.stages.chain import FIT, ROTATE, ChainPart
from facerecon_ray.stages.pair_truth import PairTruth
from facerecon_ray.stages.stage import FAILED, Batch, describe_failure
from facerecon_ray.storage.pairs.pair_schema import pair_rows

_ESTIMATES = ("pose", "camera", "shape", "expression")


class PairMaker:
    """Makes the rows of subjects, one after the other; what a subject gets depends on the job and its number alone.

    seconds   processor seconds by step since the start
    """

    def __init__(self, job: SynthesisJob, source: PairSource) -> None:
        self._job, self._source = job, source
        marked = job.pairs if job.fits_landmarks else job.pairs.model_copy(update={"landmarks": "exact"})
        self._truth = PairTruth(marked, source.model)
        fit = job.fit.model_copy(update={"method": "landmarks" if job.fits_landmarks else "network"})
        settings = ChainSettings(fitter=job.fitter, fit=fit, rotate=job.rotate)
        self._rotate = ChainPart(settings, FIT, ROTATE, asked=("rotated_seen", "rotated_head"), model=source.model)
        self.seconds: dict[str, float] = {}

    def rows(self, number: int) -> pa.Table:
        """Rows of a subject as they are stored; one row with the reason where it cannot be made.

        Raises
        ------
        FaceReconError
            when the reason is not the subject's own
        """
        try:
            batch = self.batch(number)
        except Exception as error:
            if isinstance(error, FaceReconError) and not isinstance(error, PhotoError):
                raise
            batch = self._failed(number, describe_failure("synthesis", error))
        with self._timed("packing"):
            return pair_rows(batch, self._job.shards.images)

    def batch(self, number: int) -> Batch:
        """Columns of a subject's rows, pictures and maps unpacked."""
        with self._timed("subject"):
            subject = self._source.subject(number)
        with self._timed("photos"):
            photos = subject.photos()
        with self._timed("truth"):
            known = self._truth(photos)
        if self._job.pairs.partners:
            with self._timed("rotate"):
                fitted = self._rotate(known)
            with self._timed("turned"):
                turned = subject.turned(known, self._wanted(known, fitted))
        else:
            rows = len(known["view"])
            fitted = {**known, **{name: column.empty(rows) for name, column in self._rotate.outputs.items()}}
            turned = _no_turned_view(rows)
        return {
            **fitted,
            **{name: known[name] for name in _ESTIMATES},
            **turned,
            **{f"fitted_{name}": fitted[name] for name in _ESTIMATES},
            "given_landmarks": apply_transform(known["crop_transform"], known["landmarks"]),
            "split": np.full(len(known["view"]), self._split(int(known["subject_seed"][0])), object),
        }

    def _wanted(self, known: Batch, fitted: Batch) -> np.ndarray:
        """(V, 3) angles at which the true rotated views are wanted."""
        step = np.where(fitted["rotated"].any((1, 2, 3)), fitted["rotated_yaw"] - fitted["pose"][:, 0], np.nan)
        pose, rotate = torch.from_numpy(known["pose"]), self._job.rotate
        return followed_angles(pose, torch.from_numpy(step), rotate.yaw_change, rotate.keep_pitch).numpy()

    def _split(self, seed: int) -> str:
        """Decided by the subject's seed alone, so that a larger data set leaves every subject where it was.

        Its random numbers are not those of any of the subject's views, which begin with [seed, number of the view].
        """
        place = np.random.default_rng([seed, zlib.crc32(b"split")]).random()
        shares = self._job.split
        if place < shares.test:
            return "test"
        return "validation" if place < shares.test + shares.validation else "train"

    def _failed(self, number: int, reason: str) -> Batch:
        seed = self._source.seed(number)
        empty = {**self._truth.outputs, **self._rotate.outputs}
        return {
            **{name: column.empty(1) for name, column in empty.items()},
            "subject": np.array([number]),
            "subject_seed": np.array([seed]),
            "view": np.zeros(1, np.int32),
            "source": np.array([self._source.name], object),
            "origin": np.array([""], object),
            "attributes": np.array([{}], object),
            "status": np.array([FAILED], object),
            "error": np.array([reason], object),
            "split": np.array([self._split(seed)], object),
            "given_landmarks": np.zeros((1, 68, 2), np.float32),
            **{f"fitted_{name}": empty[name].empty(1) for name in _ESTIMATES},
            **_no_turned_view(1),
        }

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - start


def _no_turned_view(rows: int) -> Batch:
    return {
        "true_rotated": np.zeros((rows, CROP_SIZE, CROP_SIZE, 3), np.uint8),
        "true_rotated_pose": np.zeros((rows, 3), np.float32),
    }

"""Where training pairs come from: subjects with photos of which the truth is known."""

from typing import Protocol

import numpy as np

from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.stages.face_finder import FaceFinder
from facerecon_ray.stages.stage import Batch
from facerecon_ray.storage.objects import open_store


class Views(Protocol):
    """The photos of one subject."""

    def photos(self) -> Batch:
        """Columns of V rows: subject, subject_seed, view, source, origin, attributes, status, error, and the input
        columns of the truth stage.
        """

    def turned(self, known: Batch, wanted: np.ndarray) -> Batch:
        """The same heads as they really look from elsewhere, beside their crops.

        Parameters
        ----------
        known : what the truth stage made of the photos
        wanted : (V, 3) yaw, pitch and roll in degrees

        Returns
        -------
        Columns true_rotated (V, 256, 256, 3) uint8 and true_rotated_pose (V, 3) degrees; zeros where that is not known
        """


class PairSource(Protocol):
    """Subjects by number; each is a pure function of its number.

    name      kind of the source, as rows name it
    model     the face model to which the photos' heads belong
    """

    name: str
    model: FaceModel

    def __len__(self) -> int:
        """Number of subjects that there are."""

    def seed(self, number: int) -> int:
        """Seed of a subject, 0 to 2^63 - 1."""

    def subject(self, number: int) -> Views:
        """A subject's views."""


def open_source(job: SynthesisJob) -> PairSource:
    """The source that a job's settings name.

    Raises
    ------
    FaceReconError
        when what it needs is missing or is not as expected
    """
    # Only where subjects are made or listed: anny and OpenGL take seconds that --help and a dry run have no use for.
    if job.imports is not None:
        from facerecon_ray.synthesis.importers.imported_subjects import ImportedSubjects

        settings = CropSettings(landmarks="dlib", landmark_model=job.pairs.landmark_model)
        return ImportedSubjects(job.imports, FaceFinder(settings))
    if job.profile is not None:
        from facerecon_ray.synthesis.profiled_subjects import ProfiledSubjects

        photos = open_store(job.profile, job.s3)
        return ProfiledSubjects(photos, job.profiling, FaceModel.open(job.face_model), job.seed, job.output)
    from facerecon_ray.synthesis.subject_views import Photographer

    return Photographer(job)

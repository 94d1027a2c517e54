"""Imported files as a source of training pairs: subjects by number, each with photos of which the truth is known."""

import hashlib
import os
from dataclasses import dataclass

import numpy as np

from facerecon_ray.config.importing import ImportSettings
from facerecon_ray.errors import InputError
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.synthesis.importers.facegen import FaceGenImporter, FindLandmarks
from facerecon_ray.synthesis.importers.imported_view import (
    LEAST_SIDE,
    ImportedView,
    Importer,
    ImportFailure,
    ImportSource,
)
from facerecon_ray.synthesis.importers.side_partner import choose_side, make_partner
from facerecon_ray.synthesis.importers.w300lp import Importer300wlp

OK, FAILED = "ok", "failed"


def open_importer(settings: ImportSettings, find_landmarks: FindLandmarks) -> Importer:
    """The importer of the settings' layout.

    Raises
    ------
    AssetError
        when the face model cannot be used
    """
    if settings.layout == "facegen":
        return FaceGenImporter(settings, find_landmarks)
    return Importer300wlp(settings)


class ImportedSubjects:
    """The subjects of a folder, in the order of their names.

    name   kind of the files, as rows name it
    model  the face model to which the photos' heads belong
    """

    def __init__(self, settings: ImportSettings, find_landmarks: FindLandmarks) -> None:
        """Load the face model and list the folder.

        Raises
        ------
        AssetError
            when the face model cannot be used
        InputError
            when the folder has not the expected layout
        """
        self._settings = settings
        self._importer = open_importer(settings, find_landmarks)
        self.name, self.model = self._importer.name, self._importer.model
        self._subjects: dict[str, list[ImportSource]] = {}
        for source in self._importer.sources():
            self._subjects.setdefault(source.subject, []).append(source)
        self._names = list(self._subjects)

    def __len__(self) -> int:
        """Number of subjects."""
        return len(self._names)

    def seed(self, number: int) -> int:
        """Seed of a subject, 0 to 2^63 - 1, from its name: it stays where more files are added."""
        digest = hashlib.sha256(os.fsencode(self._name(number))).digest()
        return int.from_bytes(digest[:8], "little") >> 1

    def subject(self, number: int) -> "ImportedSubject":
        """Read a subject's files."""
        entries = [entry for source in self._subjects[self._name(number)] for entry in self._importer.views(source)]
        entries.sort(key=lambda entry: entry.name)
        return ImportedSubject(number, self.seed(number), self.name, self.model, entries, self._settings.yaw_tolerance)

    def _name(self, number: int) -> str:
        if not 0 <= number < len(self._names):
            raise InputError(f"{self._settings.folder}: it has {len(self)} subjects; there is no number {number}")
        return self._names[number]


@dataclass(frozen=True)
class ImportedSubject:
    """The files of one subject.

    entries    views and failures, by name
    tolerance  degrees by which a real side picture's yaw may miss the wanted turn
    """

    number: int
    seed: int
    source: str
    model: FaceModel
    entries: list[ImportedView | ImportFailure]
    tolerance: float

    def photos(self) -> dict[str, np.ndarray]:
        """Columns of V rows: photo, points, surface, noise_seed, status, error, and whose view it is."""
        count = len(self.entries)
        empty = np.zeros((len(self.model.mean), 3), np.float32)
        views = [entry if isinstance(entry, ImportedView) else None for entry in self.entries]
        photo = np.full(count, None, object)
        for row, view in enumerate(views):
            photo[row] = view.image if view else np.zeros((LEAST_SIDE, LEAST_SIDE, 3), np.uint8)
        return {
            "subject": np.full(count, self.number, np.int64),
            "subject_seed": np.full(count, self.seed, np.int64),
            "view": np.arange(count, dtype=np.int32),
            "source": np.full(count, self.source, object),
            "status": np.array([OK if view else FAILED for view in views], object),
            "error": np.array([getattr(entry, "reason", "") for entry in self.entries], object),
            "origin": np.array([entry.name for entry in self.entries], object),
            "attributes": np.array([view.attributes if view else {} for view in views], object),
            "photo": photo,
            "points": np.stack([view.vertices if view else empty for view in views]),
            "surface": np.stack([view.head[0].numpy() if view else empty for view in views]),
            "noise_seed": np.array([(self.seed, row) for row in range(count)], np.uint64),
        }

    def turned(self, known: dict[str, np.ndarray], wanted: np.ndarray) -> dict[str, np.ndarray]:
        """Real side pictures for the frontal ones, as the rotate stage would have made them.

        Parameters
        ----------
        known : crop_transform and pose of the photos
        wanted : (V, 3) yaw, pitch and roll in degrees, measured like the pose

        Returns
        -------
        Columns true_rotated (V, 256, 256, 3) and true_rotated_pose (V, 3), zeros where there is no fitting picture
        """
        crops = np.zeros((len(self.entries), CROP_SIZE, CROP_SIZE, 3), np.uint8)
        poses = np.zeros((len(self.entries), 3), np.float32)
        for row, view in enumerate(self.entries):
            if not isinstance(view, ImportedView):
                continue
            change = abs(float(wanted[row, 0] - known["pose"][row, 0]))
            yaws = np.array([side.pose[0] for side in view.sides])
            chosen = choose_side(float(view.pose[0]), yaws, change, self.tolerance)
            if chosen is not None:
                poses[row] = yaws[chosen], *wanted[row, 1:]
                crops[row] = make_partner(
                    self.model, view, view.sides[chosen], known["crop_transform"][row], poses[row]
                )
        return {"true_rotated": crops, "true_rotated_pose": poses}

"""Near-frontal photos as a source of training pairs: each photo is a subject, turned to larger yaws."""

import hashlib
import os

import numpy as np

from facerecon_ray.config.photos import ProfilingSettings
from facerecon_ray.errors import InputError
from facerecon_ray.geometry.crop_transform import CROP_SIZE, cut_crop, transform_beside
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.storage.input_files import input_files, read_photo
from facerecon_ray.storage.layout import CARD
from facerecon_ray.storage.objects import ObjectStore
from facerecon_ray.storage.uris import PHOTO_SUFFIXES, is_photo_name
from facerecon_ray.synthesis.portraits.profiling import FaceProfiler, ProfiledPhoto, ProfiledView


class ProfiledSubject:
    """The turned views of one photo.

    Parameters
    ----------
    number : of the subject
    seed : of the subject
    origin : name of the photo
    photo : fitted
    views : of the photo at larger yaws
    """

    def __init__(
        self, number: int, seed: int, origin: str, photo: ProfiledPhoto, views: tuple[ProfiledView, ...]
    ) -> None:
        self._number, self._seed, self._origin = number, seed, origin
        self._photo, self._views = photo, views

    def photos(self) -> dict[str, np.ndarray]:
        """Columns of V rows: photo, points, surface, noise_seed, status, error, and whose view it is."""
        count, views = len(self._views), self._views
        attributes = np.array([{"seen_by_photo": round(view.visible_share, 3)} for view in views], object)
        return {
            "subject": np.full(count, self._number, np.int64),
            "subject_seed": np.full(count, self._seed, np.int64),
            "view": np.arange(count, dtype=np.int32),
            "source": np.full(count, ProfiledSubjects.name, object),
            "status": np.full(count, "ok", object),
            "error": np.full(count, "", object),
            "origin": np.full(count, self._origin, object),
            "attributes": attributes,
            "photo": np.stack([view.image for view in views]),
            "points": np.stack([view.vertices for view in views]),
            "surface": self._photo.head.expand(count, -1, -1).numpy(),
            "noise_seed": np.array([(self._seed, row) for row in range(count)], np.uint64),
        }

    def turned(self, known: dict[str, np.ndarray], wanted: np.ndarray) -> dict[str, np.ndarray]:
        """The photo itself turned to the wanted poses, beside the crops.

        Parameters
        ----------
        known : points and crop_transform of the photos
        wanted : (V, 3) yaw, pitch and roll in degrees

        Returns
        -------
        Columns true_rotated (V, 256, 256, 3) and true_rotated_pose
        """
        face = self._photo.model.face_vertices.numpy()
        crops = np.zeros((len(wanted), CROP_SIZE, CROP_SIZE, 3), np.uint8)
        for row, (yaw, pitch, roll) in enumerate(wanted.tolist()):
            view = self._photo.turned((yaw, pitch, roll))
            beside = transform_beside(known["crop_transform"][row], known["points"][row, face], view.vertices[face])
            crops[row] = cut_crop(view.image, beside)
        return {"true_rotated": crops, "true_rotated_pose": wanted}


class ProfiledSubjects:
    """The photos of a folder or a bucket, in the order of their names.

    Parameters
    ----------
    store : with the photos
    settings : which photos are used, and to which yaws they are turned
    model : that is fitted to them
    seed : of the data set
    output : where the data set goes; nothing in there is a photo

    Raises
    ------
    InputError
        when there are no photos
    """

    name = "profile"

    def __init__(
        self, store: ObjectStore, settings: ProfilingSettings, model: FaceModel, seed: int, output: str = ""
    ) -> None:
        self.model = model
        self._store, self._seed = store, seed
        self._names = sorted(item.name for item in input_files(store, (output,), CARD) if is_photo_name(item.name))
        if not self._names:
            suffixes = ", ".join(sorted(PHOTO_SUFFIXES))
            raise InputError(f"{store.uri}: there are no photos to turn in it; photos end in {suffixes}")
        self._profiler = FaceProfiler(settings, model)

    def __len__(self) -> int:
        """Number of photos."""
        return len(self._names)

    def seed(self, number: int) -> int:
        """Seed of a subject, 0 to 2^63 - 1, from its photo's name and the data set's seed."""
        digest = hashlib.sha256(os.fsencode(f"{self._seed}/{self._names[number]}")).digest()
        return int.from_bytes(digest[:8], "little") >> 1

    def subject(self, number: int) -> ProfiledSubject:
        """Fit a photo and turn it.

        Raises
        ------
        PhotoError
            when the photo is of no use, and why
        """
        name, seed = self._names[number], self.seed(number)
        photo = self._profiler.photo(read_photo(self._store, name))
        views = tuple(self._profiler.views(photo, np.random.default_rng(seed)))
        return ProfiledSubject(number, seed, name, photo, views)

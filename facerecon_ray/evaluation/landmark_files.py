"""Photos with known landmarks, in the layout of AFLW2000-3D: image00002.jpg beside image00002.mat.

A .mat file holds pt3d_68 (3 x 68, x and y in pixels of the photo) and Pose_Para (pitch, yaw, roll in radians). MATLAB
counts pixels from 1 with centres at whole numbers.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facerecon_ray.errors import InputError
from facerecon_ray.geometry.face_model import LANDMARKS
from facerecon_ray.geometry.matlab_file import read_matlab
from facerecon_ray.storage.input_files import is_hidden

PHOTOS = (".jpg", ".jpeg", ".png")
TO_PIXEL_CENTRES = -0.5
POINTS, POSE = "pt3d_68", "Pose_Para"


@dataclass(frozen=True)
class AnnotatedPhoto:
    """One photo of a folder.

    name    of the file
    photo   path
    truth   path of its .mat file
    """

    name: str
    photo: Path
    truth: Path


@dataclass(frozen=True, eq=False)
class Annotation:
    """What is known of a photo's face.

    landmarks  (68, 2) pixels, pixel centres at +0.5
    yaw        degrees; which side is positive depends on who annotated
    pitch      degrees
    """

    landmarks: np.ndarray
    yaw: float
    pitch: float


def list_photos(folder: Path) -> list[AnnotatedPhoto]:
    """Photos of a folder in the order of their names.

    Raises
    ------
    InputError
        when there is no such folder or it has no photos
    """
    if not folder.is_dir():
        raise InputError(f"landmarks {folder}: there is no such folder")
    photos = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTOS and not is_hidden(p.name))
    if not photos:
        raise InputError(f"landmarks {folder}: there are no photos ({', '.join(PHOTOS)}) in it")
    return [AnnotatedPhoto(path.name, path, path.with_suffix(".mat")) for path in photos]


def read_annotation(path: Path) -> Annotation:
    """Read a .mat file.

    Raises
    ------
    InputError
        when it is missing, is no MATLAB file up to version 7, or has no usable landmarks or pose
    """
    if not path.is_file():
        raise InputError(f"{path.name} is missing")
    content = read_matlab(path, InputError, (POINTS, POSE))
    points, pose = (
        values if (values := content.get(name)) is not None and values.dtype.kind in "iuf" else np.zeros((0, 0))
        for name in (POINTS, POSE)
    )
    if points.ndim != 2 or points.shape[0] < 2 or points.shape[1] != LANDMARKS:
        raise InputError(f"{path.name} has no {POINTS} of 3 x 68 numbers")
    if pose.size < 3:
        raise InputError(f"{path.name} has no {POSE} of at least 3 numbers")
    landmarks = points[:2].T.astype(np.float64) + TO_PIXEL_CENTRES
    pitch, yaw = np.degrees(pose.ravel()[:2].astype(np.float64))
    if not (np.isfinite(landmarks).all() and np.isfinite(yaw) and np.isfinite(pitch)):
        raise InputError(f"{path.name} has values that are not numbers")
    if (np.ptp(landmarks, axis=0) <= 0).any():
        raise InputError(f"{path.name} has landmarks that are all in one place")
    return Annotation(landmarks, float(yaw), float(pitch))

"""One annotation file of 300W-LP (Zhu et al., Face Alignment Across Large Poses, 2016), and of AFLW2000-3D.

A file says where a mesh of the Basel Face Model lies in the image: with raw coefficients a and e,

    p = f Rx(pitch) Ry(yaw) Rz(roll) (mean + A a + E e) + t,    image x = p_x,    image y = height + 1 - p_y

where lengths are micrometres, angles radians, pixels count from 1 and have their centres at whole numbers, and yaw
has the other sign than in this project. The rotation is taken as a matrix and split again in this project's order.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.basel import MICROMETRE
from facerecon_ray.geometry.matlab_file import read_matlab
from facerecon_ray.geometry.pose import Camera, angles_from_rotation

LANDMARK_NAMES = ("pt3d_68", "pt2d")
"""300W-LP as it is distributed has only pt2d; AFLW2000-3D has both, its pt2d with 21 points of another scheme."""

PIXEL_CENTRE = 0.5


@dataclass(frozen=True)
class Annotation:
    """What a file says.

    shape       (S,) float64 raw coefficients
    expression  (E,) float64 raw coefficients
    pose        (7,) float64 pitch, yaw, roll in radians, x, y, z in pixels, pixels a micrometre
    landmarks   (68, 2) float64 pixels, centres at +0.5, y down
    """

    shape: np.ndarray
    expression: np.ndarray
    pose: np.ndarray
    landmarks: np.ndarray

    def camera(self, height: int) -> Camera:
        """The camera of the picture, one, in this project's convention; depths count from the model's origin.

        Parameters
        ----------
        height : of the picture, pixels
        """
        rotation = torch.from_numpy(_rotation(*self.pose[:3]))
        x, y, _, scale = self.pose[3:]
        return Camera(
            angles_from_rotation(rotation)[None].float(),
            torch.tensor([scale / MICROMETRE], dtype=torch.float32),
            torch.tensor([[x - PIXEL_CENTRE, height + PIXEL_CENTRE - y]], dtype=torch.float32),
        )


def read_annotation(path: Path, shape_size: int, expression_size: int) -> Annotation:
    """Read a file.

    Parameters
    ----------
    path : .mat file
    shape_size, expression_size : numbers of coefficients of the face model

    Raises
    ------
    PhotoError
        when the file is missing, is no MATLAB file, lacks a key, or has an array of another size
    """
    contents = read_matlab(path, PhotoError)
    pose = _vector(path, contents, "Pose_Para", 7)
    if pose[6] <= 0:
        raise PhotoError(f"{path}: the scale in Pose_Para is {pose[6]:g}, a positive one was expected")
    return Annotation(
        _vector(path, contents, "Shape_Para", shape_size),
        _vector(path, contents, "Exp_Para", expression_size),
        pose,
        _landmarks(path, contents),
    )


def _numbers(path: Path, contents: dict[str, np.ndarray], key: str, expected: str) -> np.ndarray:
    """An array of finite numbers as float64."""
    if key not in contents:
        raise PhotoError(f"{path}: there is no {key}; {expected} were expected")
    values = np.asarray(contents[key])
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise PhotoError(f"{path}: {key} has values that are no finite numbers; {expected} were expected")
    return values.astype(np.float64)


def _vector(path: Path, contents: dict[str, np.ndarray], key: str, size: int) -> np.ndarray:
    values = _numbers(path, contents, key, f"{size} numbers")
    if values.size != size:
        raise PhotoError(f"{path}: {key} has {values.size} numbers; {size} were expected")
    return values.ravel()


def _landmarks(path: Path, contents: dict[str, np.ndarray]) -> np.ndarray:
    key = next((name for name in LANDMARK_NAMES if name in contents), LANDMARK_NAMES[0])
    expected = "68 landmarks (2 x 68 or 3 x 68 numbers)"
    points = _numbers(path, contents, key, expected)
    if points.shape not in ((2, 68), (3, 68)):
        raise PhotoError(f"{path}: {key} has shape {points.shape}; {expected} were expected")
    return points[:2].T - PIXEL_CENTRE


def _rotation(pitch: float, yaw: float, roll: float) -> np.ndarray:
    """(3, 3) Rx Ry Rz with the data set's signs."""
    (sx, sy, sz), (cx, cy, cz) = ([f(angle) for angle in (pitch, yaw, roll)] for f in (math.sin, math.cos))
    around_x = np.array([(1, 0, 0), (0, cx, sx), (0, -sx, cx)])
    around_y = np.array([(cy, 0, -sy), (0, 1, 0), (sy, 0, cy)])
    around_z = np.array([(cz, sz, 0), (-sz, cz, 0), (0, 0, 1)])
    product: np.ndarray = around_x @ around_y @ around_z
    return product

"""The Basel Face Model, for those who have its licence, as a `FaceModel`.

Read are the MATLAB files that the face3d project derives from the Basel Face Model 2009 (Paysan et al., A 3D Face
Model for Pose and Illumination Invariant Face Recognition, 2009) with the expressions of FaceWarehouse (Cao et al.,
2014): BFM.mat with a structure `model`, and BFM_UV.mat with the UV coordinates of its vertices. Lengths in BFM.mat
are micrometres; its frame is the model frame: x to the subject's left, y up, the face looks along +z.
"""

from pathlib import Path

import numpy as np
import torch
from scipy.spatial import KDTree

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS, LANDMARKS, REGIONS, FaceModel, usual_landmark_noise
from facerecon_ray.geometry.matlab_file import read_matlab

BASEL = "Basel Face Model"

MICROMETRE = 1e-6

EXPRESSION_RANGE = (-3.0, 3.0)
"""Standard deviations."""


def load_basel(model_path: Path, uv_path: Path) -> FaceModel:
    """Read a Basel Face Model.

    The face region is made of the triangles whose three corners have UV coordinates. The files know nothing of
    regions, mirror symmetry and sliding contours: all vertices are skin, the mirror is the nearest vertex to the
    mirrored place, and the jaw's landmarks stay where they are. The recipe keeps the standard deviations, because
    data sets made with these files give coefficients that are not divided by them.

    Parameters
    ----------
    model_path : BFM.mat
    uv_path : BFM_UV.mat

    Raises
    ------
    AssetError
        when a file is missing, is no MATLAB file, lacks an array, or has one of another shape
    """
    model = _structure(model_path)
    mean = _array(model_path, model, "shapeMU", (-1, 1)) + _array(model_path, model, "expMU", (-1, 1))
    if len(mean) % 3:
        raise AssetError(f"{model_path}: shapeMU has {len(mean)} rows, which are not 3 for each vertex")
    mean = mean.reshape(-1, 3) * MICROMETRE
    count = len(mean)
    triangles = _indices(model_path, model, "tri", (3, -1), count).T
    landmarks = _indices(model_path, model, "kpt_ind", (1, LANDMARKS), count)[0]
    uv = _uv(uv_path, count)
    has_uv = np.isfinite(uv).all(1)
    _, mirror = KDTree(mean).query(mean * (-1, 1, 1))
    corners = np.repeat(landmarks[:, None], 3, 1)
    weights = np.tile((1.0, 0.0, 0.0), (LANDMARKS, 1))
    contour, inner = slice(CONTOUR_LANDMARKS), slice(CONTOUR_LANDMARKS, None)
    return FaceModel(
        mean=_floats(mean),
        shape_basis=_floats(_basis(model_path, model, "shape", count)),
        expression_basis=_floats(_basis(model_path, model, "exp", count)),
        expression_range=torch.tensor(EXPRESSION_RANGE),
        triangles=torch.from_numpy(_outward(mean, triangles)),
        face_triangles=torch.from_numpy(np.flatnonzero(has_uv[triangles].all(1))),
        uv=_floats(uv),
        mirror=torch.from_numpy(mirror.astype(np.int64)),
        regions=torch.full((count,), REGIONS.index("skin"), dtype=torch.uint8),
        landmark_corners=torch.from_numpy(corners[inner]),
        landmark_weights=_floats(weights[inner]),
        contour_corners=torch.from_numpy(corners[contour][:, None]),
        contour_weights=_floats(weights[contour][:, None]),
        landmark_noise=usual_landmark_noise(),
        recipe={
            "source": BASEL,
            "files": [model_path.name, uv_path.name],
            "shape_deviations": _array(model_path, model, "shapeEV", (-1, 1))[:, 0].tolist(),
            "expression_deviations": _array(model_path, model, "expEV", (-1, 1))[:, 0].tolist(),
        },
    )


def _structure(path: Path) -> np.void:
    """The fields of `model`."""
    contents = read_matlab(path)
    if "model" not in contents:
        raise AssetError(f"{path}: it has no structure 'model'; the BFM.mat of the face3d project is expected")
    model = contents["model"]
    if model.dtype.names is None or model.size != 1:
        raise AssetError(f"{path}: 'model' is not a structure")
    fields: np.void = model.reshape(-1)[0]
    return fields


def _array(path: Path, model: np.void, name: str, shape: tuple[int, int]) -> np.ndarray:
    """One field as float64; -1 in the shape stands for any size."""
    if name not in (model.dtype.names or ()):
        raise AssetError(f"{path}: 'model' has no field {name!r}")
    value = np.asarray(model[name])
    fits = value.ndim == 2 and all(size in (-1, found) for size, found in zip(shape, value.shape, strict=True))
    if not fits or value.size == 0 or value.dtype.kind not in "iuf":
        expected = " x ".join("any" if size == -1 else str(size) for size in shape)
        raise AssetError(f"{path}: {name} has shape {value.shape} of {value.dtype}, expected {expected} numbers")
    return value.astype(np.float64)


def _indices(path: Path, model: np.void, name: str, shape: tuple[int, int], count: int) -> np.ndarray:
    """Indices of vertices, which count from 1 in the file."""
    indices = _array(path, model, name, shape).astype(np.int64) - 1
    if indices.min() < 0 or indices.max() >= count:
        raise AssetError(f"{path}: {name} has indices outside 1 to {count}")
    return indices


def _basis(path: Path, model: np.void, kind: str, count: int) -> np.ndarray:
    """(K, N, 3) metres for one standard deviation."""
    directions = _array(path, model, f"{kind}PC", (3 * count, -1))
    deviations = _array(path, model, f"{kind}EV", (directions.shape[1], 1))
    scaled: np.ndarray = (directions * deviations[:, 0]).T.reshape(-1, count, 3)
    return scaled * MICROMETRE


def _uv(path: Path, count: int) -> np.ndarray:
    """(N, 2) with v from the top down; v counts from the bottom up in the file."""
    contents = read_matlab(path)
    if "UV" not in contents:
        raise AssetError(f"{path}: it has no array 'UV'")
    uv = np.asarray(contents["UV"])
    if uv.shape != (count, 2) or uv.dtype.kind != "f":
        raise AssetError(f"{path}: UV has shape {uv.shape} of {uv.dtype}, expected {count} x 2 numbers")
    return uv * (1, -1) + (0, 1)


def _outward(mean: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Wind triangles so that the surface, which is open at the back, faces the front."""
    a, b, c = (mean[triangles[:, corner]] for corner in range(3))
    forward = np.cross(b - a, c - a)[:, 2].sum()
    return np.ascontiguousarray(triangles if forward > 0 else triangles[:, ::-1])


def _floats(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

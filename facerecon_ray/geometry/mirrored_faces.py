"""The mirror image of a face, as coefficients and as points."""

import torch
from torch import Tensor

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import MIRRORED_LANDMARKS


def mirrored_coefficients(model: FaceModel) -> Tensor:
    """(K, K) turns shape and expression coefficients (B, K) into those of the mirrored face, by least squares.

    The model's vertices are mirrored by `FaceModel.mirror`; the statistics of the model know no side.
    """
    basis = torch.cat([model.shape_basis, model.expression_basis]).double()
    mirrored = basis[:, model.mirror] * basis.new_tensor([-1.0, 1.0, 1.0])
    face = model.face_vertices
    columns = basis[:, face].flatten(1)
    # Normal equations with a little of the identity: a few components may move nothing in the face.
    normal = columns @ columns.T
    normal += 1e-6 * normal.diagonal().mean() * torch.eye(len(normal), dtype=normal.dtype)
    return torch.linalg.solve(normal, columns @ mirrored[:, face].flatten(1).T).T.float()


def mirrored_points(model: FaceModel) -> Tensor:
    """(68 + D,) int64 for each landmark and dense landmark the one at the mirrored place."""
    dense = model.dense_landmarks
    place = torch.full((len(model.mean),), -1)
    place[dense] = torch.arange(len(dense))
    return torch.cat([torch.from_numpy(MIRRORED_LANDMARKS), len(MIRRORED_LANDMARKS) + place[model.mirror[dense]]])

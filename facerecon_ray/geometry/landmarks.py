"""The 68 landmarks on the face model: fixed points, and a jaw contour that slides as the head turns.

In a picture the jaw's landmarks lie on the outline of the face, which is another line on the surface at every pose
(Zhu et al., Face Alignment Across Large Poses, 2016, call it landmark marching). Here every jaw landmark has a path
over the surface, from its place in a frontal view towards the middle of the face, and sits at the point of the path
that is furthest outward in the picture.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS, FaceModel
from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES, Camera, rotation_from_angles

CHIN = CONTOUR_LANDMARKS // 2

MIRRORED_LANDMARKS = np.array(
    [
        *range(16, -1, -1),
        *range(26, 16, -1),
        *range(27, 31),
        *range(35, 30, -1),
        45,
        44,
        43,
        42,
        47,
        46,
        39,
        38,
        37,
        36,
    ]
    + [41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]
)
"""For each of the 68 landmarks the one at the mirrored place."""


@dataclass(frozen=True)
class LandmarkModel:
    """The face model restricted to the points that can be landmarks: a small linear model of its own.

    mean          (Q, 3) metres: 51 fixed points, 17 paths of P points, then D dense landmarks
    basis         (K, Q, 3) shape, then expression
    path_length   P
    dense         D
    """

    mean: Tensor
    basis: Tensor
    path_length: int
    dense: int = 0

    @staticmethod
    def of(model: FaceModel, dense: bool = False) -> "LandmarkModel":
        """Restrict a face model to its landmark points, with its dense landmarks or without."""
        more = model.dense_landmarks if dense else model.dense_landmarks[:0]
        corners = torch.cat([model.landmark_corners, model.contour_corners.flatten(0, 1)])
        weights = torch.cat([model.landmark_weights, model.contour_weights.flatten(0, 1)])
        basis = torch.cat([model.shape_basis, model.expression_basis])
        return LandmarkModel(
            torch.cat([torch.einsum("qkc,qk->qc", model.mean[corners], weights), model.mean[more]]),
            torch.cat([torch.einsum("bqkc,qk->bqc", basis[:, corners], weights), basis[:, more]], 1),
            model.contour_corners.shape[1],
            len(more),
        )

    def points(self, coefficients: Tensor) -> Tensor:
        """(B, Q, 3) candidate points in metres for coefficients (B, K)."""
        return self.mean + torch.einsum("bk,kqc->bqc", coefficients, self.basis)

    def choose(self, points: Tensor, angles: Tensor) -> Tensor:
        """Pick the 68 landmarks, and after them the dense ones, among the candidates at a pose.

        Parameters
        ----------
        points : (B, Q, 3) metres, as `points` gives them
        angles : (B, 3) yaw, pitch, roll in degrees

        Returns
        -------
        (B, 68 + D) int64 indices into the candidates, in dlib's order: jaw, then brows, nose, eyes, mouth
        """
        paths = CONTOUR_LANDMARKS * self.path_length
        fixed = len(self.mean) - self.dense - paths
        upright = angles * angles.new_tensor([1.0, 1.0, 0.0])
        seen = points[:, fixed : fixed + paths] @ rotation_from_angles(upright).mT
        across = seen[..., 0].unflatten(1, (CONTOUR_LANDMARKS, self.path_length))
        side = torch.ones(CONTOUR_LANDMARKS, device=points.device)
        side[:CHIN], side[CHIN] = -1.0, 0.0
        furthest = (across * side[:, None]).argmax(-1)
        contour = fixed + torch.arange(CONTOUR_LANDMARKS, device=points.device) * self.path_length + furthest
        others = torch.arange(len(self.mean), device=points.device)
        others = torch.cat([others[:fixed], others[fixed + paths :]])
        return torch.cat([contour, others.expand(len(points), -1)], 1)


def landmarks_on_vertices(model: FaceModel, vertices: Tensor, angles: Tensor) -> Tensor:
    """(B, 68, 3) landmarks on given vertices (B, N, 3) of the model's mesh, in the vertices' own frame and unit.

    Parameters
    ----------
    vertices : (B, N, 3) model frame, metres
    angles : (B, 3) the pose at which the face is seen, degrees
    """
    corners = torch.cat([model.landmark_corners, model.contour_corners.flatten(0, 1)])
    weights = torch.cat([model.landmark_weights, model.contour_weights.flatten(0, 1)])
    points = torch.einsum("bqkc,qk->bqc", vertices[:, corners], weights)
    empty = LandmarkModel(points[0], points.new_zeros(0), model.contour_corners.shape[1])
    chosen = empty.choose(points, angles)
    return points.gather(1, chosen[..., None].expand(-1, -1, 3))


def projected_landmarks(model: FaceModel, vertices: Tensor, camera: Camera) -> Tensor:
    """(B, 68, 3) landmarks in the image frame, pixels, for vertices (B, N, 3) in metres."""
    return camera.project(landmarks_on_vertices(model, vertices, camera.angles))


def landmarks_in_picture(model: FaceModel, points: Tensor, roll: Tensor) -> Tensor:
    """(B, 68, 3) landmarks on vertices (B, N, 3) that are in the image frame, whatever camera brought them there.

    Parameters
    ----------
    points : (B, N, 3) image frame, pixels
    roll : (B,) degrees; the jaw's landmarks are the furthest outward with the face upright
    """
    axes = points.new_tensor(MODEL_TO_IMAGE_AXES)
    zero = torch.zeros_like(roll)
    rotation = rotation_from_angles(torch.stack([zero, zero, roll], -1))
    upright = (points * axes) @ rotation
    return landmarks_on_vertices(model, upright, torch.zeros_like(points[:, 0])) @ rotation.mT * axes

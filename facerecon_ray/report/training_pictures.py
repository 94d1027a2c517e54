"""Pictures of validation samples: what a network makes of some crops, beside the truth."""

import cv2
import numpy as np
import torch
from torch import Tensor

from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.rasterizer import interpolate, rasterize
from facerecon_ray.geometry.shading import CLAY, shade, vertex_normals

FOUND_COLOUR, TRUE_COLOUR = (240, 60, 40), (60, 230, 60)
OVERLAY_OPACITY = 0.8
GAP = 4
SCENE_ZOOM = 2
LARGEST_ERROR = 8.0
"""Crop pixels that an error map shows in its strongest colour."""


def fitted_faces_picture(model: FaceModel, crops: Tensor, found: Tensor, truth: Tensor, points: Tensor) -> np.ndarray:
    """Crops with landmarks, those found red and the true ones green; below, the regressed face on the crop.

    Parameters
    ----------
    model : gives the mesh
    crops : (B, 3, 256, 256) uint8
    found, truth : (B, 68, 2 or more) crop pixels
    points : (B, N, 3) the model's vertices in the image frame, crop pixels
    """
    pictures = as_pictures(crops)
    marked = [
        _dotted(_dotted(picture, true.cpu().numpy(), TRUE_COLOUR), own.cpu().numpy(), FOUND_COLOUR)
        for picture, own, true in zip(pictures, found, truth, strict=True)
    ]
    triangles = model.triangles[model.face_triangles]
    return grid([marked, list(clay_overlay(pictures, points, triangles))])


def position_maps_picture(
    views: list[Tensor], found: Tensor, truth: Tensor, triangles: Tensor, error: Tensor
) -> np.ndarray:
    """The views, the predicted mesh and the true one on the crop, and the error over the UV square.

    Parameters
    ----------
    views : (B, 3, 256, 256) uint8 each, the crop first
    found, truth : (B, M, 3) vertices of the face region in the image frame, crop pixels
    triangles : (F, 3) over the M vertices
    error : (B, 256, 256) distance at each UV pixel, crop pixels
    """
    crops = as_pictures(views[0])
    heat = (error.float().cpu().numpy() / LARGEST_ERROR * 255).clip(0, 255).astype(np.uint8)
    return grid(
        [
            *([*as_pictures(view)] for view in views),
            list(clay_overlay(crops, found, triangles)),
            list(clay_overlay(crops, truth, triangles)),
            [np.ascontiguousarray(cv2.applyColorMap(plane, cv2.COLORMAP_INFERNO)[..., ::-1]) for plane in heat],
        ]
    )


def as_pictures(pictures: Tensor) -> np.ndarray:
    """(B, H, W, 3) uint8 of (B, 3, H, W) uint8, or float in [0, 1]."""
    if pictures.is_floating_point():
        pictures = (pictures.float() * 255).round().clamp(0, 255).byte()
    return np.ascontiguousarray(pictures.permute(0, 2, 3, 1).cpu().numpy())


def clay_overlay(pictures: np.ndarray, points: Tensor, triangles: Tensor) -> np.ndarray:
    """Pictures (B, 256, 256, 3) uint8 with a mesh in clay on each; points (B, V, 3) image frame, pixels."""
    points, triangles = points.float().cpu(), triangles.cpu()
    fragments = rasterize(points, triangles, CROP_SIZE, CROP_SIZE, cull_back=True)
    light = interpolate(fragments, triangles, shade(vertex_normals(points, triangles))[..., None])
    opacity = OVERLAY_OPACITY * fragments.mask.float()[..., None]
    drawn = torch.lerp(torch.from_numpy(pictures).float(), light * (torch.tensor(CLAY) * 255), opacity)
    return np.asarray(drawn.round().clamp(0, 255).byte().numpy())


def grid(lines: list[list[np.ndarray]]) -> np.ndarray:
    """Lines of pictures of one size, with gaps between them."""
    size = lines[0][0].shape
    down, right = np.zeros((GAP, 1, 3), np.uint8), np.zeros((size[0], GAP, 3), np.uint8)
    rows = [np.concatenate([part for picture in line for part in (picture, right)][:-1], 1) for line in lines]
    gap = np.broadcast_to(down, (GAP, rows[0].shape[1], 3))
    return np.concatenate([part for row in rows for part in (row, gap)][:-1])


def _dotted(picture: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    picture = picture.copy()
    for x, y in points[:, :2]:
        cv2.circle(picture, (round(float(x) - 0.5), round(float(y) - 0.5)), 2, colour, -1, cv2.LINE_AA)
    return picture


def found_faces_picture(pictures: list[np.ndarray], found: list[np.ndarray], truth: list[np.ndarray]) -> np.ndarray:
    """Scenes with a square around each face and a line to its top: above those that are there, below the found ones.

    Parameters
    ----------
    pictures : (N, N, 3) uint8 RGB
    found, truth : (K, 4) x, y, size and roll, pixels and degrees
    """
    lines = [(truth, TRUE_COLOUR), (found, FOUND_COLOUR)]
    return grid(
        [
            [_squared(picture, faces, colour) for picture, faces in zip(pictures, line, strict=True)]
            for line, colour in lines
        ]
    )


def _squared(picture: np.ndarray, faces: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    picture = cv2.resize(picture, None, fx=SCENE_ZOOM, fy=SCENE_ZOOM, interpolation=cv2.INTER_CUBIC)
    for x, y, size, roll in np.asarray(faces, np.float64) * (SCENE_ZOOM, SCENE_ZOOM, SCENE_ZOOM, 1.0):
        corners = cv2.boxPoints(((x, y), (size, size), roll)).round().astype(np.int32)
        top = np.array([x, y]) + 0.5 * size * np.array([np.sin(np.deg2rad(roll)), -np.cos(np.deg2rad(roll))])
        cv2.polylines(picture, [corners], True, colour, 1, cv2.LINE_AA)
        cv2.line(picture, (round(x), round(y)), (round(float(top[0])), round(float(top[1]))), colour, 1, cv2.LINE_AA)
    return picture

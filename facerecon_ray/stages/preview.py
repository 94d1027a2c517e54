"""Preview of one face: crop, crop with the mesh on it and rotated view; below, the mesh in clay from three sides."""

import cv2
import numpy as np
import torch
from torch import Tensor

from facerecon_ray.geometry.box_means import mean_around
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer import interpolate, rasterize
from facerecon_ray.geometry.shading import CLAY, shade, vertex_normals

CLAY_YAWS = (-50.0, 0.0, 50.0)
CLAY_SHARE = 0.88
OVERLAY_OPACITY = 0.7
JPEG_OPTIONS = (cv2.IMWRITE_JPEG_QUALITY, 85, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
"""Colours at full resolution do not run from one tile into the next."""


@torch.no_grad()
def preview_jpeg(crop: np.ndarray, rotated: np.ndarray, points: Tensor, vertices: Tensor, triangles: Tensor) -> bytes:
    """Draw the preview.

    Parameters
    ----------
    crop, rotated : (256, 256, 3) uint8
    points : (M, 3) the mesh in the crop, image frame, pixels
    vertices : (M, 3) the same mesh in the model frame, metres
    triangles : (F, 3) int64, counter-clockwise seen from outside

    Returns
    -------
    JPEG of 512 x 768 pixels: crop, overlay, rotated view; clay below
    """
    in_tiles = torch.cat([points[None], clay_points(vertices)])
    brightness, opacity = _shaded(in_tiles, triangles)
    opacity[0] *= OVERLAY_OPACITY
    behind = torch.full((1 + len(CLAY_YAWS), CROP_SIZE, CROP_SIZE, 3), 255.0)
    behind[0] = torch.from_numpy(crop)
    clay = brightness[..., None] * (torch.tensor(CLAY) * 255)
    overlay, *sides = torch.lerp(behind, clay, opacity[..., None]).round().byte().numpy()
    rows = np.vstack([np.hstack([crop, overlay, rotated]), np.hstack(sides)])
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(rows, cv2.COLOR_RGB2BGR), JPEG_OPTIONS)[1])


def clay_points(vertices: Tensor) -> Tensor:
    """(3, M, 3) the mesh turned to each of `CLAY_YAWS`, in the middle of a tile."""
    count = len(CLAY_YAWS)
    angles = torch.zeros(count, 3)
    angles[:, 0] = torch.tensor(CLAY_YAWS)
    turned = Camera(angles, torch.ones(count), torch.zeros(count, 2)).project(vertices.expand(count, -1, -1))
    low, high = turned.amin(1, keepdim=True), turned.amax(1, keepdim=True)
    middle = torch.tensor([CROP_SIZE / 2, CROP_SIZE / 2, 0.0])
    return (turned - (low + high) / 2) * (CLAY_SHARE * CROP_SIZE / (high - low)[..., :2].max()) + middle


def _shaded(points: Tensor, triangles: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness and opacity, (B, 256, 256) 0 to 1 each; the opacity falls off softly inside the outline."""
    normals = vertex_normals(points, triangles)
    towards_camera = normals * torch.where(normals[..., 2:] < 0, -1.0, 1.0)
    fragments = rasterize(points, triangles, CROP_SIZE, CROP_SIZE)
    brightness = interpolate(fragments, triangles, shade(towards_camera)[..., None])[..., 0]
    covered = fragments.mask.float()
    return brightness, covered * mean_around(covered[None], 1)[0]

"""A strip of pictures that shows how one reconstruction went wrong."""

import cv2
import numpy as np
import torch

from facerecon_ray.geometry.mesh_picture import MeshColours, mesh_picture
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.shading import render_clay
from facerecon_ray.geometry.textured_mesh import TexturedMesh

TILE = 220
GAP = 6
WORST_SHOWN = 0.05
"""Error, as a share of the mesh's size, that is drawn in full red."""

HEAT = np.array([[244, 243, 240], [250, 205, 120], [226, 88, 54], [122, 12, 30]], np.float64)
"""Colours of errors from none to `WORST_SHOWN`."""

JPEG_QUALITY = 88


def outlier_picture(
    picture: np.ndarray,
    rotated: np.ndarray,
    scan: np.ndarray,
    front: Camera,
    mesh: TexturedMesh | None,
    error: np.ndarray | None,
) -> bytes:
    """JPEG of five tiles side by side: photo, rotated view, scan, mesh, error; the last three from the front.

    Parameters
    ----------
    picture, rotated, scan : (S, S, 3) uint8 each
    front : camera of the scan's picture, for a square of its size
    mesh : laid onto the scan, metres; None where there is none
    error : (V,) of its vertices, as a share of its size
    """
    tiles = [picture, rotated, scan]
    if mesh is not None and error is not None:
        size = len(scan)
        points = front.project(torch.from_numpy(mesh.vertices).float()[None])
        triangles = torch.from_numpy(np.asarray(mesh.triangles, np.int64))
        heat = MeshColours(vertex=heat_colours(error))
        tiles += [render_clay(points, triangles, size)[0].numpy(), mesh_picture(points, triangles, heat, size, 255.0)]
    scaled = [cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_AREA) for tile in tiles]
    strip = np.full((TILE, len(tiles) * (TILE + GAP) - GAP, 3), 255, np.uint8)
    for index, tile in enumerate(scaled):
        left = index * (TILE + GAP)
        strip[:, left : left + TILE] = tile
    encoded = cv2.imencode(".jpg", np.ascontiguousarray(strip[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return bytes(encoded[1])


def heat_colours(error: np.ndarray) -> np.ndarray:
    """(V, 3) uint8 colours of errors (V,)."""
    place = (error / WORST_SHOWN).clip(0.0, 1.0) * (len(HEAT) - 1)
    channels = [np.interp(place, np.arange(len(HEAT)), HEAT[:, channel]) for channel in range(3)]
    return np.stack(channels, 1).round().astype(np.uint8)

"""A real side image made to look like the rotate stage's output for the frontal image of the same face.

The side image's face is turned by the little that lies between its pitch and roll and those of the rotate stage (no
pitch, the frontal image's roll), has the frontal image's scale and place, and lies before the frontal image's
background. So the two-view network sees real side texture in the form in which it will be given rotated ones.
"""

from dataclasses import replace

import numpy as np
import torch

from facerecon_ray.geometry.crop_transform import CROP_SIZE, cut_crop, photo_bounds
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer import rasterize
from facerecon_ray.geometry.turned_view import turn_view
from facerecon_ray.geometry.view_filling import fill_view
from facerecon_ray.synthesis.importers.imported_view import ImportedView


def choose_side(front_yaw: float, yaws: np.ndarray, change: float, tolerance: float) -> int | None:
    """Index of the view that a turn of the frontal one by `change` degrees, to either side, comes closest to.

    Parameters
    ----------
    front_yaw : degrees
    yaws : (K,) degrees
    change, tolerance : degrees; None is returned where no view comes closer than the tolerance
    """
    distances = np.abs(np.abs(yaws - front_yaw) - change)
    best = int(distances.argmin()) if len(distances) else 0
    return best if len(distances) and distances[best] <= tolerance else None


@torch.inference_mode()
def make_partner(
    model: FaceModel, front: ImportedView, side: ImportedView, transform: np.ndarray, angles: np.ndarray
) -> np.ndarray:
    """Bring a side image into the crop of the frontal one.

    Parameters
    ----------
    model : to which both heads belong
    front, side : the images
    transform : (2, 3) the frontal image's pixels to crop pixels
    angles : (3,) degrees; pitch and roll that the face is to have, and the side image's own yaw

    Returns
    -------
    (256, 256, 3) uint8
    """
    crop, camera = _pixels(cut_crop(front.image, transform)), _in_crop(front.camera, transform)
    side_transform = _matching_transform(model, front.head, camera, side)
    side_crop, side_camera = _pixels(cut_crop(side.image, side_transform)), _in_crop(side.camera, side_transform)
    height, width = side.image.shape[:2]
    shown = torch.from_numpy(photo_bounds(side_transform, np.array(width), np.array(height)))[None]
    view = turn_view(model, side_crop, side.head, side_camera, torch.as_tensor(angles).float()[None], shown)
    front_head = rasterize(camera.project(front.head), model.triangles, CROP_SIZE, CROP_SIZE).mask[:, None]
    picture = fill_view(replace(view, photo_head=front_head), crop)
    pixels: np.ndarray = picture[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return pixels


def _matching_transform(model: FaceModel, head: torch.Tensor, camera: Camera, side: ImportedView) -> np.ndarray:
    """(2, 3) side image to a crop in which its face has the scale and the middle that the frontal crop's has."""
    scale = float(camera.scale[0] / side.camera.scale[0])
    wanted = _middle(camera.project(head[:, model.face_vertices]))
    found = _middle(side.camera.project(side.head[:, model.face_vertices]))
    return np.concatenate([np.eye(2) * scale, (wanted - scale * found)[:, None]], 1)


def _middle(points: torch.Tensor) -> np.ndarray:
    """(2,) middle of the bounding box of points (1, M, 3)."""
    middle: np.ndarray = ((points.amax(1) + points.amin(1)) / 2)[0, :2].double().numpy()
    return middle


def _in_crop(camera: Camera, transform: np.ndarray) -> Camera:
    """The camera in pixels of a crop that is scaled and moved, not turned."""
    scale = float(transform[0, 0])
    return camera.in_picture(scale, torch.from_numpy(np.array(transform[:, 2], np.float32)))


def _pixels(crop: np.ndarray) -> torch.Tensor:
    """(1, 3, H, W) float32."""
    return torch.from_numpy(crop).permute(2, 0, 1)[None].float()

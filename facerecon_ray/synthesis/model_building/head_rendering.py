"""Pictures of random heads, painted, lit and set before a background: to place landmarks, and as sample pictures."""

import cv2
import numpy as np
import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer import interpolate, rasterize
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.synthesis.model_building.head_painting import HeadFeatures, paint_background, paint_head

SUPERSAMPLING = 2

EXPOSURE = (60.0, 125.0)
"""Range of the head's mean brightness before the film's soft shoulder: cameras expose dark and light skin alike."""


def frontal_camera(angles: torch.Tensor, size: int, face_share: float = 0.5) -> Camera:
    """Cameras (B,) with the head in the middle of a picture of size x size pixels.

    Parameters
    ----------
    angles : (B, 3) degrees
    size : pixels
    face_share : width of a head of 0.16 m as a share of the picture
    """
    count = len(angles)
    return Camera(angles, torch.full((count,), face_share * size / 0.16), torch.full((count, 2), size / 2))


class HeadRenderer:
    """Renders heads of one face model, each as a random person under random light."""

    def __init__(self, model: FaceModel) -> None:
        self._model = model
        self._features = HeadFeatures.of(model)
        self._openness = openness(model)[None, :, None]
        self._region = model.regions[model.triangles].amax(1)

    def __call__(self, vertices: torch.Tensor, camera: Camera, size: int, rng: np.random.Generator) -> np.ndarray:
        """Render one head.

        Parameters
        ----------
        vertices : (1, N, 3) metres
        camera : one camera for a picture of size x size pixels
        size : pixels
        rng : decides colours, light and background

        Returns
        -------
        (size, size, 3) uint8 RGB
        """
        model, fine = self._model, SUPERSAMPLING * size
        fine_camera = camera.in_picture(SUPERSAMPLING)
        points = fine_camera.project(vertices)
        fragments = rasterize(points, model.triangles, fine, fine, cull_back=True)
        surface = torch.cat([model.mean[None], vertex_normals(points, model.triangles), self._openness], -1)
        place, normal, opened = interpolate(fragments, model.triangles, surface)[0].split([3, 3, 1], -1)
        covered = fragments.mask[0].numpy()
        region = self._region[fragments.triangle[0].clamp(min=0)].numpy()
        albedo = paint_head(place.numpy(), region, self._features, rng)
        lit = albedo * _random_light(normal.numpy(), opened[..., 0].numpy(), rng)[..., None]
        exposure = rng.uniform(*EXPOSURE) / lit[covered].mean()
        lit = 255.0 * (1.0 - np.exp(-exposure * lit / 160.0)) / (1.0 - np.exp(-255.0 / 160.0))
        picture = np.where(covered[..., None], lit, paint_background(fine, rng))
        small = cv2.resize(picture.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        noisy = small + rng.normal(0.0, rng.uniform(0.5, 4.0), small.shape)
        return noisy.clip(0.0, 255.0).astype(np.uint8)


def openness(model: FaceModel) -> torch.Tensor:
    """(N,) share of the directions from above and around from which each vertex of the mean head can be seen.

    Light from everywhere reaches a place in that proportion, which darkens nostrils, lids, lips and the throat.
    """
    size, count = 256, len(model.mean)
    seen, possible = torch.zeros(count), torch.zeros(count)
    for pitch in (-60.0, -30.0, 0.0, 20.0):
        for yaw in range(-150, 180, 30):
            camera = frontal_camera(torch.tensor([[float(yaw), pitch, 0.0]]), size)
            points = camera.project(model.mean[None])
            depth = rasterize(points, model.triangles, size, size).depth[0]
            column, row = points[0, :, :2].long().clamp(0, size - 1).unbind(-1)
            behind = depth[row, column] - points[0, :, 2]
            faces = vertex_normals(points, model.triangles)[0, :, 2].clamp(min=0.0)
            seen += (behind < 0.004 * camera.scale) * faces
            possible += 1.0
    return seen / seen.quantile(0.95)


def _random_light(normal: np.ndarray, opened: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W) brightness: light from everywhere, more from above, and one lamp in front; less of both in hollows."""
    unit = normal / np.linalg.norm(normal, axis=-1, keepdims=True).clip(1e-6)
    lamp = np.array([rng.uniform(-0.6, 0.6), rng.uniform(-0.8, 0.0), 1.0])
    lamp = lamp / np.linalg.norm(lamp)
    sky = 0.5 - 0.5 * unit[..., 1]
    direct = (unit @ lamp).clip(0.0)
    share = rng.uniform(0.3, 0.65)
    shade = opened.clip(0.0, 1.0) ** 0.8
    return (1.0 - share) * (0.4 + 0.6 * sky) * shade + share * direct * (0.4 + 0.6 * shade)

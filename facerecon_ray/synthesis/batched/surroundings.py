"""What is behind heads and before them: pictures that the generator made on CPUs, laid out anew for each view."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.synthesis.rendering.backgrounds import Backgrounds
from facerecon_ray.synthesis.rendering.camera_effects import to_linear
from facerecon_ray.synthesis.rendering.occluders import Occluders
from facerecon_ray.synthesis.rendering.view_sampling import ViewSampler

OCCLUDER_SIZE = 160


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Kept on one device.

    backgrounds  (G, 3, H, H) uint8 display values
    occluders    (Q, 4, O, O) float16 linear colour, multiplied by the cover, and cover, of pictures of a face
    middles      (Q, 2) the faces' middles in them, shares of their side
    reaches      (Q,) half of the faces' larger side, shares of their side
    """

    backgrounds: Tensor
    occluders: Tensor
    middles: Tensor
    reaches: Tensor

    def to(self, device: torch.device | str) -> "Surroundings":
        """Copy on a device."""
        return Surroundings(*(value.to(device) for value in vars(self).values()))

    @staticmethod
    def make(job: SynthesisJob, backgrounds: int, occluders: int) -> "Surroundings":
        """Make so many of each, from the job's settings and its seed; without occluders where the job has none.

        Raises
        ------
        InputError
            when the job's folder of backgrounds has no pictures
        """
        behind, size = Backgrounds(job.backgrounds, (job.output,)), job.views.size
        pictures = np.stack([behind.picture(job.seed + number, size) for number in range(backgrounds)])
        before = [_occluder(job, number) for number in range(occluders if job.occluders.share else 0)]
        stacked = [np.stack(values) for values in zip(*before, strict=True)]
        covers, middles, reaches = stacked or [np.zeros((0, 4, 1, 1)), np.zeros((0, 2)), np.zeros(0)]
        return Surroundings(
            torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(),
            torch.from_numpy(covers).half(),
            torch.from_numpy(middles).float(),
            torch.from_numpy(reaches).float(),
        )

    def behind(self, scale: Tensor, shift: Tensor, photo_size: Tensor, size: int, random: torch.Generator) -> Tensor:
        """Linear light behind heads: a random background each, mirrored or not, as the crop shows it.

        Parameters
        ----------
        scale, shift : (B,), (B, 2) photo pixels to pixels of the pictures
        photo_size : (B,) pixels
        size : of the pictures, pixels
        random : on the CPU

        Returns
        -------
        (B, 3, size, size)
        """
        device = scale.device
        chosen = torch.randint(len(self.backgrounds), (len(scale),), generator=random).to(device)
        mirrored = torch.rand(len(scale), generator=random).to(device) < 0.5
        zoom = size / (scale * photo_size)
        middle = 2.0 * (size / 2 - shift) / (scale * photo_size)[:, None] - 1.0
        sign = torch.where(mirrored, -1.0, 1.0)
        zero = torch.zeros_like(zoom)
        rows = [torch.stack([sign * zoom, zero, sign * middle[:, 0]], -1), torch.stack([zero, zoom, middle[:, 1]], -1)]
        grid = affine_grid(torch.stack(rows, 1), [len(scale), 3, size, size], align_corners=False)
        pictures = self.backgrounds[chosen].to(scale.dtype)
        display = grid_sample(pictures, grid, padding_mode="border", align_corners=False).round().long()
        levels = torch.arange(256, dtype=torch.uint8).numpy()
        return torch.from_numpy(to_linear(levels)).to(device)[display]

    def before(self, light: Tensor, occluded: Tensor, points: Tensor, random: torch.Generator) -> Tensor:
        """Put things before the faces of some rows.

        Parameters
        ----------
        light : (B, 3, S, S) linear
        occluded : (B,) bool
        points : (B, F, 2) the face regions' vertices, pixels of the pictures
        random : on the CPU
        """
        rows = occluded.nonzero()[:, 0]
        if not len(rows) or not len(self.occluders):
            return light
        size, places = light.shape[-1], points[rows]
        low, high = places.amin(1), places.amax(1)
        reach = (high - low).amax(-1) / 2 / size
        chosen = torch.randint(len(self.occluders), (len(rows),), generator=random).to(light.device)
        zoom = self.reaches[chosen] / reach
        offset = (2.0 * self.middles[chosen] - 1.0) - zoom[:, None] * ((low + high) / size - 1.0)
        zero = torch.zeros_like(zoom)
        matrix = torch.stack(
            [torch.stack([zoom, zero, offset[:, 0]], -1), torch.stack([zero, zoom, offset[:, 1]], -1)], 1
        )
        grid = affine_grid(matrix, [len(rows), 4, size, size], align_corners=False)
        thing = grid_sample(self.occluders[chosen].to(light.dtype), grid, align_corners=False)
        return light.index_copy(0, rows, light[rows] * (1.0 - thing[:, 3:]) + thing[:, :3])


def _occluder(job: SynthesisJob, number: int) -> tuple[np.ndarray, np.ndarray, np.float64]:
    """One thing before the mean face as some view shows it, and where that face lies."""
    model = FaceModel.open(job.face_model)
    sampler = ViewSampler(job.views, job.light, job.camera, job.occluders)
    view = sampler.view(job.seed + number, number % len(job.views.yaws))
    points = view.project(model.mean.numpy()) * (OCCLUDER_SIZE / view.size)
    black = np.zeros((OCCLUDER_SIZE, OCCLUDER_SIZE, 3), np.float32)
    occluders, seed = Occluders(job.occluders), job.seed + number
    over_black, over_white = (occluders.put_before(ground, points, seed)[0] for ground in (black, black + 1.0))
    cover = 1.0 - (over_white - over_black).mean(-1, keepdims=True).clip(0.0, 1.0)
    face = points[model.face_vertices.numpy(), :2]
    low, high = face.min(0), face.max(0)
    picture = np.concatenate([over_black, cover], -1).transpose(2, 0, 1)
    return picture, (low + high) / 2 / OCCLUDER_SIZE, (high - low).max() / 2 / OCCLUDER_SIZE

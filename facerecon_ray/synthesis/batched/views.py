"""Views as tensors: who looks from where, in which light, with which camera, for a whole batch.

They are drawn by the same sampler from the same seeds as those of `facerecon synthesize`, on CPUs, ahead of their use.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES
from facerecon_ray.synthesis.rendering.camera_effects import CameraEffects
from facerecon_ray.synthesis.rendering.drawing import MAX_LAMPS
from facerecon_ray.synthesis.rendering.view_sampling import View, ViewSampler

AHEAD = 2
"""Batches that each process draws ahead."""

NEAREST = 0.05
"""Metres before the camera at which what comes nearer is held."""

EFFECTS = tuple(f.name for f in fields(CameraEffects))

LOSSLESS = {"noise": 0.0, "jpeg_quality": 0.0, "resolution": 1.0}
"""What `CameraEffects.without_losses` has of them."""


@dataclass(frozen=True, eq=False)
class ViewBatch:
    """B views; see `View`, `Light` and `CameraEffects`.

    angles (B, 3), distance (B,), scale (B,), centre (B, 2), size (B,)
    environment (B, 9, 3); lamp_directions, lamp_colours (B, 2, 3) and lamp_widths (B, 2), where a lamp that is not
    there has no colour
    effects    (B,) or (B, C) float32 each, by name
    occluded   (B,) bool, whether something lies before the face
    seed       of everything else that is drawn for the batch
    """

    angles: Tensor
    distance: Tensor
    scale: Tensor
    centre: Tensor
    size: Tensor
    environment: Tensor
    lamp_directions: Tensor
    lamp_colours: Tensor
    lamp_widths: Tensor
    occluded: Tensor
    effects: dict[str, Tensor]
    seed: int

    def __len__(self) -> int:
        return len(self.angles)

    def to(self, device: torch.device | str) -> "ViewBatch":
        """Copy on a device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        effects = {name: value.to(device, non_blocking=True) for name, value in self.effects.items()}
        return replace(self, **moved, effects=effects)

    def rotated(self, angles: Tensor) -> "ViewBatch":
        """The same heads turned to angles (B, 3); see `view_sampling.rotated_view`."""
        lossless = {name: torch.full_like(self.effects[name], value) for name, value in LOSSLESS.items()}
        nothing = torch.zeros_like(self.occluded)
        return replace(self, angles=angles, occluded=nothing, effects={**self.effects, **lossless})

    def project(self, vertices: Tensor, rotation: Tensor) -> Tensor:
        """Head frame to image frame, in perspective; see `Standpoint.project`.

        Parameters
        ----------
        vertices : (B, N, 3) metres
        rotation : (B, 3, 3) of `angles`

        Returns
        -------
        (B, N, 3) pixels of the photos
        """
        turned = vertices @ rotation.mT
        distance = self.distance[:, None, None]
        enlarged = distance / (distance - turned[..., 2:]).clamp(min=NEAREST)
        points = turned * turned.new_tensor(MODEL_TO_IMAGE_AXES) * self.scale[:, None, None]
        return torch.cat([points[..., :2] * enlarged + self.centre[:, None], points[..., 2:]], -1)

    @staticmethod
    def of(views: Sequence[View], seed: int) -> "ViewBatch":
        """Views as tensors on the CPU."""
        lights = [view.light for view in views]
        cameras = [asdict(view.camera) for view in views]
        return ViewBatch(
            angles=_floats([view.angles for view in views]),
            distance=_floats([view.distance for view in views]),
            scale=_floats([view.scale for view in views]),
            centre=_floats([view.centre for view in views]),
            size=_floats([view.size for view in views]),
            environment=_floats([light.environment for light in lights]),
            lamp_directions=_floats([_lamps(light.lamp_directions, 1.0) for light in lights]),
            lamp_colours=_floats([_lamps(light.lamp_colours, 0.0) for light in lights]),
            lamp_widths=_floats([_lamps(light.lamp_widths, 10.0) for light in lights]),
            occluded=torch.tensor([view.occluder_seed is not None for view in views]),
            effects={name: _floats([camera[name] for camera in cameras]) for name in EFFECTS if name != "seed"},
            seed=seed,
        )


class ViewStream:
    """Batches of views without an end.

    Parameters
    ----------
    job : settings of the views, the light, the cameras and of what lies before faces
    rows : of a batch
    seed : of the first batch; the others follow
    processes : that draw ahead; with 0 each batch is drawn when it is asked for
    """

    def __init__(self, job: SynthesisJob, rows: int, seed: int = 0, processes: int = 0) -> None:
        self._job, self._rows, self._seed = job, rows, seed
        self._ahead = AHEAD * processes
        self._pool = ProcessPoolExecutor(processes, get_context("spawn")) if processes else None

    def __iter__(self) -> Iterator[ViewBatch]:
        number = self._seed
        waiting: deque[Future[ViewBatch]] = deque()
        while True:
            if self._pool is None:
                yield draw_views(self._job, self._rows, number)
            else:
                while len(waiting) <= self._ahead:
                    waiting.append(self._pool.submit(draw_views, self._job, self._rows, number + len(waiting)))
                yield waiting.popleft().result()
            number += 1

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def draw_views(job: SynthesisJob, rows: int, seed: int) -> ViewBatch:
    """One batch: each row is a view of a subject of its own, the yaw bins in turn."""
    torch.set_num_threads(1)
    sampler, bins = ViewSampler(job.views, job.light, job.camera, job.occluders), len(job.views.yaws)
    return ViewBatch.of([sampler.view(seed * rows + row, row % bins) for row in range(rows)], seed)


def _floats(values: Sequence[object]) -> Tensor:
    return torch.from_numpy(np.array(values, np.float32))


def _lamps(values: np.ndarray, missing: float) -> np.ndarray:
    """The first lamps' values, filled up for those that are not there."""
    filled = np.full((MAX_LAMPS, *values.shape[1:]), missing, np.float32)
    filled[: len(values)] = values[:MAX_LAMPS]
    return filled

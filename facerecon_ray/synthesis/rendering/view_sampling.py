"""Views of a subject: who looks from where, in which light, with which camera; each is drawn from a seed alone."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from facerecon_ray.config.synthesis import CameraSettings, LightSettings, OccluderSettings, ViewSettings
from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES, angles_from_rotation, rotation_from_angles
from facerecon_ray.synthesis.rendering.camera_effects import REFERENCE_SIZE, CameraEffects, sample_effects
from facerecon_ray.synthesis.rendering.lighting import Light, sample_light

LEVEL = -6.5
"""Pitch in degrees of a head that looks level into the camera: the middle of those of faces in photos, and where the
noses and mouths of rendered heads lie as theirs do. The model's own zero is a chin that is up."""

Angles = tuple[float, float, float]
"""Yaw, pitch and roll in degrees."""

MOST_TURNED = 90.0
"""Largest yaw to both sides in degrees: pitched profiles end here too."""


def angles_of_turned(yaw: float, pitch: float, roll: float) -> Angles:
    """Angles of a head that looked level into the camera and turned: as people do, about the upright.

    The model's own vertical axis leans by `LEVEL`, so that to turn a level head about it would roll its eyes' line.
    """
    turn, level = rotation_from_angles(torch.tensor([[yaw, pitch, roll], [0.0, LEVEL, 0.0]], dtype=torch.float64))
    angles: list[float] = angles_from_rotation(turn @ level).tolist()
    return float(np.clip(angles[0], -MOST_TURNED, MOST_TURNED)), angles[1], angles[2]


@dataclass(frozen=True, eq=False)
class Standpoint:
    """From where a head is photographed.

    angles    yaw, pitch, roll in degrees
    distance  metres from the camera to the head's origin, which lies on the optical axis
    scale     pixels per metre at that distance
    centre    image position of the head's origin, pixels
    """

    angles: Angles
    distance: float
    scale: float
    centre: tuple[float, float]

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) float32 head frame to camera axes."""
        return rotation_from_angles(torch.tensor(self.angles, dtype=torch.float64)).float().numpy()

    def project(self, vertices: np.ndarray) -> np.ndarray:
        """Head frame to image frame, in perspective.

        Parameters
        ----------
        vertices : (N, 3) metres

        Returns
        -------
        (N, 3) float32 pixels; z is 0 at the depth of the head's origin, in the scale of that depth
        """
        turned = vertices @ self.rotation.T
        enlarged = self.distance / (self.distance - turned[:, 2:]).clip(0.05)
        points = turned * np.array(MODEL_TO_IMAGE_AXES, np.float32) * np.float32(self.scale)
        points[:, :2] = points[:, :2] * enlarged + np.array(self.centre, np.float32)
        return points.astype(np.float32)


@dataclass(frozen=True, eq=False)
class View(Standpoint):
    """One photo of a head.

    size             width and height of the photo in pixels
    light            fixed to the camera
    camera           its effects
    background_seed  decides the background
    occluder_seed    decides what lies before the face, None for nothing
    """

    size: int
    light: Light
    camera: CameraEffects
    background_seed: int
    occluder_seed: int | None = None


def rotated_view(view: View, angles: Angles) -> View:
    """The same head turned otherwise: same light, camera and background, nothing before the face, and no losses."""
    return replace(view, angles=angles, camera=view.camera.without_losses(), occluder_seed=None)


class ViewSampler:
    """Draws the views of subjects."""

    def __init__(
        self,
        views: ViewSettings | None = None,
        light: LightSettings | None = None,
        camera: CameraSettings | None = None,
        occluders: OccluderSettings | None = None,
    ) -> None:
        self._views, self._light = views or ViewSettings(), light or LightSettings()
        self._camera, self._occluders = camera or CameraSettings(), occluders or OccluderSettings()

    def views(self, seed: int) -> tuple[View, ...]:
        """The views of the subject with this seed, one in each yaw bin."""
        return tuple(self.view(seed, index) for index in range(len(self._views.yaws)))

    def view(self, seed: int, index: int) -> View:
        """One view, which depends on the seed and its number alone."""
        rng, settings = np.random.default_rng([seed, index]), self._views
        yaw = settings.yaws[index] + rng.uniform(0.0, settings.yaw_noise)
        pitch, roll = rng.uniform(-settings.pitch, settings.pitch), rng.uniform(-settings.roll, settings.roll)
        shift_x, shift_y = rng.uniform(-settings.shift, settings.shift, 2)
        return View(
            angles=angles_of_turned(float(yaw), float(pitch), float(roll)),
            distance=float(np.exp(rng.uniform(*np.log(settings.distance)))),
            scale=float(rng.uniform(*settings.pixels_per_metre)) * settings.size / REFERENCE_SIZE,
            centre=(settings.size * (0.5 + float(shift_x)), settings.size * (0.5 + float(shift_y))),
            size=settings.size,
            light=sample_light(self._light, rng),
            camera=sample_effects(self._camera, rng),
            background_seed=int(rng.integers(2**62)),
            occluder_seed=int(rng.integers(2**62)) if rng.random() < self._occluders.share else None,
        )

"""Pictures of scans from given sides, and where their points are in them."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

import numpy as np
import torch

from facerecon_ray.config.synthesis import LightSettings
from facerecon_ray.evaluation.scan import Scan
from facerecon_ray.geometry.mesh_picture import mesh_picture
from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES, Camera, angles_from_rotation, rotation_from_angles
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.geometry.similarity import Similarity
from facerecon_ray.synthesis.rendering.camera_effects import CameraEffects
from facerecon_ray.synthesis.rendering.lighting import sample_light
from facerecon_ray.synthesis.rendering.scene_rendering import SceneRenderer
from facerecon_ray.synthesis.rendering.view_sampling import View

METRES_ACROSS = 0.32
"""What a picture shows across, in metres of the face model: a head of 0.16 m fills half of it."""

DISTANCE = 3.0
"""Metres from the camera to a dressed head. Meshes from files are drawn without perspective."""


@dataclass(frozen=True, eq=False)
class Framing:
    """From where a scan is looked at.

    to_head  scan's frame to the head frame: x to the subject's left, y up, z to the front
    angles   (3,) yaw, pitch, roll in degrees by which the head is turned there
    size     width and height of the picture in pixels
    zoom     metres of the face model for one metre of the head frame
    """

    to_head: Similarity
    angles: tuple[float, float, float]
    size: int
    zoom: float = 1.0

    @property
    def pixels_per_metre(self) -> float:
        """Of the head frame."""
        return self.size / METRES_ACROSS * self.zoom

    def camera(self) -> Camera:
        """The camera without perspective."""
        middle = torch.full((1, 2), self.size / 2)
        return Camera(torch.tensor([self.angles]).float(), torch.tensor([self.pixels_per_metre]), middle)


class ScanPictures(Protocol):
    """Draws one scan."""

    def draw(self, framing: Framing) -> np.ndarray:
        """(size, size, 3) uint8 RGB."""
        ...

    def project(self, points: np.ndarray, framing: Framing) -> np.ndarray:
        """(N, 3) image frame, pixels, of points (N, 3) in the scan's frame, as they are in the picture."""
        ...


def pictures_of(scan: Scan) -> ScanPictures:
    """The way to draw a scan: the pictures that there are of it; without any, lit and before a background where it is
    a dressed head, else as its colours are.
    """
    if scan.photos is not None:
        return KeptPictures(scan)
    return MeshPictures(scan) if scan.scene is None else ScenePictures(scan)


class MeshPictures:
    """Draws a scan in soft light, with its own colours or as clay where it has none."""

    def __init__(self, scan: Scan) -> None:
        self._vertices, self._colours = scan.vertices, scan.colours
        self._triangles = torch.from_numpy(scan.triangles)
        self._normals = _smooth_normals(scan)

    def draw(self, framing: Framing) -> np.ndarray:
        points = torch.from_numpy(self.project(self._vertices, framing)).float()[None]
        rotation = (
            rotation_from_angles(torch.tensor(framing.angles)) @ torch.from_numpy(framing.to_head.rotation).float()
        )
        normals = self._normals @ rotation.T * torch.tensor(MODEL_TO_IMAGE_AXES)
        return mesh_picture(points, self._triangles, self._colours, framing.size, normals=normals[None])

    def project(self, points: np.ndarray, framing: Framing) -> np.ndarray:
        in_head = torch.from_numpy(framing.to_head.apply(points)).float()[None]
        return np.asarray(framing.camera().project(in_head)[0].numpy())


class ScenePictures:
    """Photographs a dressed head; light, camera and background are the same from all sides."""

    def __init__(self, scan: Scan) -> None:
        assert scan.scene is not None
        self._scene = scan.scene
        rng = np.random.default_rng([scan.scene.seed, 1])
        self._light = sample_light(LightSettings(), rng)
        self._background = int(rng.integers(2**62))

    def draw(self, framing: Framing) -> np.ndarray:
        return _scene_renderer().render(self._scene, self._view(framing)).image

    def project(self, points: np.ndarray, framing: Framing) -> np.ndarray:
        return self._view(framing).project(np.asarray(points, np.float32))

    def _view(self, framing: Framing) -> View:
        """The framing as a view of the scene, whose own frame the scan's is."""
        turn = rotation_from_angles(torch.tensor(framing.angles, dtype=torch.float64)).numpy()
        rotation = turn @ framing.to_head.rotation
        yaw, pitch, roll = angles_from_rotation(torch.from_numpy(rotation)).tolist()
        scale = framing.pixels_per_metre
        right, up, _ = turn @ framing.to_head.translation
        return View(
            angles=(yaw, pitch, roll),
            distance=DISTANCE,
            scale=scale * framing.to_head.scale,
            centre=(framing.size / 2 + scale * float(right), framing.size / 2 - scale * float(up)),
            size=framing.size,
            light=self._light,
            camera=CameraEffects(),
            background_seed=self._background,
        )


class KeptPictures:
    """Shows the pictures that there are of a scan; from where none was taken, the bare surface."""

    def __init__(self, scan: Scan) -> None:
        assert scan.photos is not None
        self._photos, self._bare = scan.photos, replace(scan, photos=None)

    def draw(self, framing: Framing) -> np.ndarray:
        side = framing.angles[:2]
        return self._photos.picture(side) if side in self._photos.files else MeshPictures(self._bare).draw(framing)

    def project(self, points: np.ndarray, framing: Framing) -> np.ndarray:
        return self._photos.standpoints[framing.angles[:2]].project(np.asarray(points, np.float32))


def _smooth_normals(scan: Scan) -> torch.Tensor:
    """(V, 3) in the scan's frame; vertices at the same place, on the seams of a texture, share one."""
    places, index = np.unique(scan.vertices.astype(np.float32), axis=0, return_inverse=True)
    index = index.reshape(-1)
    # Areas in millimetres, metres or whatever unit: only the direction matters, and 1 is a good size for floats.
    points = torch.from_numpy(places / np.ptp(places, axis=0).max())[None]
    return vertex_normals(points, torch.from_numpy(index[scan.triangles]), "model")[0][torch.from_numpy(index)]


@cache
def _scene_renderer() -> SceneRenderer:
    return SceneRenderer()

"""Light on heads: an environment in spherical harmonics plus soft lamps, and the head's own shadows.

Precomputed radiance transfer (Sloan et al., Precomputed radiance transfer for real-time rendering, 2002), over a fixed
set of directions instead of a basis: which directions each vertex of the mean head can see is looked up once with the
rasterizer; every other head takes its shadows from there and its normals from its own surface. Light creeps past the
terminator on skin, red furthest, which is what subsurface scattering looks like at this scale.

Directions are unit vectors with the axes of the model frame: x right in the picture for a frontal head, y up, z front.
The light is fixed to the camera; the head turns in it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy import sparse
from scipy.spatial import cKDTree

from facerecon_ray.config.synthesis import LightSettings
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer import rasterize
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.synthesis.rendering.cast_shadows import cast_shadows, fibonacci_sphere

DIRECTION_COUNT = 240

SHADOW_MAP_SIZE = 224
SHADOW_TOLERANCE = 0.0022
"""Metres that a vertex may lie behind the surface that a shadow map shows and still count as lit."""

LAMP_HEIGHT, LAMP_SPREAD = 35.0, 20.0
"""Degrees above the camera at which lamps stand, mean and spread."""

SHOULDERS = (-0.8, -0.3)
"""Sines of the heights between which the body, which the mean head lacks, hides light from below."""

WRAP = 0.45
CREEP = np.array([0.35, 0.12, 0.07], np.float32)
"""Share of red, green and blue light that follows the wrapped cosine on skin."""

BOUNCE = 0.5
"""Light that falls on what hides a direction, as a share of the average light: skin throws its own colour back."""

CASTS_FROM, FREE_FROM = 0.004, 0.03
"""Metres above the head's surface from which something casts shadows on it, and from which the head shadows it no
more; its own normals still do."""

HOLLOW_DEPTH = 0.010
"""Metres behind the head's surface over which light falls to a third: inside the mouth, behind the lids."""


@lru_cache(maxsize=1)
def directions() -> np.ndarray:
    """(K, 3) float32 unit vectors, evenly spread: where light is taken from, in the head frame."""
    return fibonacci_sphere(DIRECTION_COUNT)


@dataclass(frozen=True, eq=False)
class Light:
    """Light around a head, in linear red, green and blue.

    environment      (9, 3) coefficients of the real spherical harmonics up to degree 2
    lamp_directions  (L, 3) unit vectors towards the lamps
    lamp_colours     (L, 3) irradiance at normal incidence divided by pi, comparable with the environment's radiance
    lamp_widths      (L,) degrees, standard deviation of a lamp's disc
    """

    environment: np.ndarray
    lamp_directions: np.ndarray
    lamp_colours: np.ndarray
    lamp_widths: np.ndarray

    def radiance(self, towards: np.ndarray) -> np.ndarray:
        """(K, 3) radiance from evenly spread directions (K, 3), so that each lamp keeps its whole power."""
        share = self.lamp_shares(towards)
        return self.surround(towards) + share @ self.lamp_colours * (len(towards) / 4.0)

    def surround(self, towards: np.ndarray) -> np.ndarray:
        """(K, 3) radiance of the surroundings alone from any directions (K, 3)."""
        return (harmonics(towards) @ self.environment).clip(0.02 * self.environment[:1] * HARMONIC_0)

    def lamp_shares(self, towards: np.ndarray) -> np.ndarray:
        """(K, L) share of each lamp's power that comes from each direction."""
        sharpness = np.degrees(1.0) ** 2 / self.lamp_widths**2
        lobes = np.exp(sharpness * (towards @ self.lamp_directions.T - 1.0))
        return (lobes / lobes.sum(0).clip(1e-12)).astype(np.float32)


HARMONIC_0, HARMONIC_1 = 0.28209479, 0.48860251


def harmonics(towards: np.ndarray) -> np.ndarray:
    """(K, 9) real spherical harmonics up to degree 2 of directions (K, 3)."""
    return harmonics_of(torch.from_numpy(towards)).numpy().astype(np.float32)


def harmonics_of(towards: torch.Tensor) -> torch.Tensor:
    """(..., 9) the same of directions (..., 3)."""
    x, y, z = towards.unbind(-1)
    terms = [
        torch.full_like(x, HARMONIC_0),
        HARMONIC_1 * y,
        HARMONIC_1 * z,
        HARMONIC_1 * x,
        1.09254843 * x * y,
        1.09254843 * y * z,
        0.31539157 * (3.0 * z * z - 1.0),
        1.09254843 * x * z,
        0.54627422 * (x * x - y * y),
    ]
    return torch.stack(terms, -1)


def sample_light(settings: LightSettings, rng: np.random.Generator) -> Light:
    """Draw a light: an uneven surround, mostly brighter above, a key lamp and now and then a second lamp."""
    surround = _tint(rng, settings.surround_tint)
    environment = np.zeros((9, 3))
    environment[0] = surround / HARMONIC_0
    slopes = settings.unevenness * rng.normal((0.0, 1.0, 0.0), (1.0, 0.6, 0.8)) / HARMONIC_1
    environment[1:4] = slopes[[1, 2, 0], None] * _tint(rng, settings.surround_tint)
    environment[4:] = rng.normal(0.0, 0.3 * settings.unevenness, (5, 1)) * _tint(rng, settings.surround_tint)
    count = int(rng.random() < settings.key_share) + int(rng.random() < settings.second_lamp_share)
    azimuth = np.radians(np.clip(rng.normal(0.0, settings.lamp_azimuth, count), -150.0, 150.0))
    height = np.radians(np.clip(rng.normal(LAMP_HEIGHT, LAMP_SPREAD, count), -35.0, 80.0))
    towards = np.stack([np.cos(height) * np.sin(azimuth), np.sin(height), np.cos(height) * np.cos(azimuth)], 1)
    strength = _log_uniform(settings.lamp_strength, count, rng)
    colours = np.stack([_tint(rng, settings.lamp_tint) for _ in range(count)]) if count else np.zeros((0, 3))
    return Light(
        environment=environment.astype(np.float32),
        lamp_directions=towards.astype(np.float32),
        lamp_colours=(strength[:, None] * colours).astype(np.float32),
        lamp_widths=_log_uniform(settings.lamp_width, count, rng).astype(np.float32),
    )


def _log_uniform(span: tuple[float, float], count: int, rng: np.random.Generator) -> np.ndarray:
    low, high = np.log(span)
    return np.exp(rng.uniform(low, high, count))


def _tint(rng: np.random.Generator, spread: float) -> np.ndarray:
    """(3,) colour of brightness about 1, mostly along the axis from warm to cold."""
    warm, green = rng.normal(0.0, spread), rng.normal(0.0, 0.25 * spread)
    return np.exp([warm, green, -warm])


@dataclass(frozen=True, eq=False)
class HeadShadows:
    """Which of the directions the vertices of the mean head can see.

    visible    (M, K) float32, 0 to 1
    smoothing  (M, M) sparse, averages values of neighbouring vertices
    triangles  (T, 3) of the mesh
    """

    visible: np.ndarray
    smoothing: sparse.csr_array
    triangles: torch.Tensor

    @staticmethod
    @lru_cache(maxsize=1)
    def of_default_model() -> "HeadShadows":
        """Shadows of the embedded face model's mean head; worked out once in a process, in about two seconds."""
        return HeadShadows.of(FaceModel.default())

    @staticmethod
    def of(model: FaceModel) -> "HeadShadows":
        """Look at the mean head from every direction and see which vertices are in view."""
        mean, size = model.mean[None], SHADOW_MAP_SIZE
        scale = torch.tensor([size / 0.42])
        seen = np.zeros((len(model.mean), DIRECTION_COUNT), np.float32)
        for index, (x, y, z) in enumerate(directions().tolist()):
            yaw, pitch = np.degrees(np.arctan2(-x, z)), np.degrees(np.arcsin(-y))
            camera = Camera(torch.tensor([[yaw, pitch, 0.0]]).float(), scale, torch.full((1, 2), size / 2))
            points = camera.project(mean)
            depth = rasterize(points, model.triangles, size, size).depth[0]
            column, row = points[0, :, :2].long().clamp(0, size - 1).unbind(-1)
            facing = vertex_normals(points, model.triangles)[0, :, 2]
            behind = (depth[row, column] - points[0, :, 2]) / scale
            seen[:, index] = ((behind < SHADOW_TOLERANCE * (2.0 - facing)) & (facing > -WRAP)).numpy()
        smoothing = _neighbour_average(model.triangles.numpy(), len(model.mean))
        past_shoulders = ((directions()[:, 1] - SHOULDERS[0]) / (SHOULDERS[1] - SHOULDERS[0])).clip(0.0, 1.0)
        return HeadShadows(smoothing @ seen * past_shoulders.astype(np.float32), smoothing, model.triangles)


def _neighbour_average(triangles: np.ndarray, count: int) -> sparse.csr_array:
    """(M, M) matrix that averages each vertex's value with those of its neighbours, half and half."""
    rows, columns = triangles[:, [0, 1, 2, 1, 2, 0]].ravel(), triangles[:, [1, 2, 0, 0, 1, 2]].ravel()
    linked = sparse.coo_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(count, count)).tocsr()
    linked.data[:] = 1.0
    shares = sparse.diags_array(0.5 / np.maximum(linked.sum(1), 1.0))
    return (0.5 * sparse.eye_array(count) + shares @ linked).astype(np.float32).tocsr()


@dataclass(frozen=True, eq=False)
class LightTransfer:
    """How light from the directions, in the head frame, reaches the vertices of one head.

    cosine   (N, K) share of each direction's radiance, by the plain cosine
    wrapped  (N, K) the same by the wrapped cosine, which reaches round the terminator
    visible  (N, K) visibility alone, for highlights
    creep    (N, 3) share of the wrapped one in red, green and blue
    hidden   (N,) share of the light that is hidden
    reach    (N,) what remains of all light in hollows
    """

    cosine: np.ndarray
    wrapped: np.ndarray
    visible: np.ndarray
    creep: np.ndarray
    hidden: np.ndarray
    reach: np.ndarray

    @staticmethod
    def of(
        shadows: HeadShadows,
        surface: np.ndarray,
        surface_normals: np.ndarray,
        vertices: np.ndarray,
        normals: np.ndarray,
        openness: np.ndarray,
        translucency: np.ndarray,
        casts: np.ndarray,
    ) -> "LightTransfer":
        """Transfer for a head's vertices (N, 3), which take the shadows of the nearest vertices of its surface.

        What lies above the surface, such as hair, casts shadows on what lies on it, such as skin, and takes none.

        Parameters
        ----------
        shadows : of the face model's mean head
        surface, surface_normals : (M, 3) the face model's vertices on this head, metres, and their normals
        vertices, normals : (N, 3) what is to be lit, metres, and unit vectors
        openness, translucency, casts : (N,) see `Part`
        """
        distance, nearest = cKDTree(surface).query(vertices)
        height = ((vertices - surface[nearest]) * surface_normals[nearest]).sum(1)
        lifted = np.where(distance > FREE_FROM, distance, height)
        blocked = cast_shadows(vertices[casts & (lifted > CASTS_FROM)], surface, shadows.smoothing, directions())
        bare = shadows.visible * (1.0 - blocked)
        above = (np.maximum(lifted, 0.0) / CASTS_FROM).clip(0.0, 1.0).astype(np.float32)[:, None]
        free = (np.maximum(lifted, 0.0) / FREE_FROM).clip(0.0, 1.0).astype(np.float32)[:, None]
        own = shadows.visible[nearest]
        visible = (1.0 - above) * bare[nearest] + above * (own + free * (1.0 - own))
        cosine = normals @ directions().T
        wrapped = np.maximum((cosine + WRAP) / (1.0 + WRAP), 0.0) * (visible / (1.0 + WRAP))
        hidden = 1.0 - (np.maximum(cosine, 0.0) * visible).sum(1) / np.maximum(cosine, 0.0).sum(1).clip(1e-6)
        inside = np.where(distance > 1e-4, np.maximum(-height, 0.0), 0.0)
        return LightTransfer(
            cosine=(np.maximum(cosine, 0.0) * visible) * np.float32(4.0 / DIRECTION_COUNT),
            wrapped=wrapped * np.float32(4.0 / DIRECTION_COUNT),
            visible=visible,
            creep=(translucency[:, None] * CREEP).astype(np.float32),
            hidden=hidden.astype(np.float32),
            reach=(openness * np.exp(-inside / HOLLOW_DEPTH)).astype(np.float32),
        )

    def light(self, radiance: np.ndarray, skin: np.ndarray) -> np.ndarray:
        """(N, 3) light that the vertices get, as a share of a white surface's, for radiance (K, 3) on a skin (3,)."""
        plain, soft = self.cosine @ radiance, self.wrapped @ radiance
        bounced = self.hidden[:, None] * (radiance.mean(0) * skin * np.float32(BOUNCE))
        return (plain + self.creep * (soft - plain) + bounced) * self.reach[:, None]

    @property
    def unhidden(self) -> np.ndarray:
        """(N,) share of the surroundings that the vertices see."""
        return (1.0 - self.hidden) * self.reach

    def lamp_visibility(self, shares: np.ndarray) -> np.ndarray:
        """(N, L) how much of each lamp the vertices see, for the lamps' shares (K, L)."""
        return (self.visible @ shares) * self.reach[:, None]

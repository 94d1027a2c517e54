"""Procedural colours for a head, evaluated at every pixel from its place on the mean head, so no texture is needed.

The colours are drawn at random over a wide range of people; they serve to place the landmarks and to make sample
pictures, where variety matters more than realism.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from facerecon_ray.geometry.face_model import REGIONS, FaceModel

SKIN_DARK, SKIN_LIGHT = np.array([62.0, 38.0, 28.0]), np.array([238.0, 202.0, 182.0])
HAIR_COLOURS = np.array(
    [[24, 19, 16], [58, 40, 28], [96, 66, 42], [168, 130, 84], [150, 144, 140], [120, 60, 34]], float
)
IRIS_COLOURS = np.array([[62, 40, 24], [92, 66, 36], [96, 128, 150], [104, 124, 84]], float)


@dataclass(frozen=True)
class HeadFeatures:
    """Where things are on the mean head, in metres: eye centres, mouth centre and half width."""

    right_eye: np.ndarray
    left_eye: np.ndarray
    mouth: np.ndarray
    mouth_half_width: float

    @staticmethod
    def of(model: FaceModel) -> "HeadFeatures":
        """Read the places off the model's regions."""
        points = {
            name: model.mean[model.regions == REGIONS.index(name)].numpy()
            for name in ("right_eye", "left_eye", "mouth")
        }
        mouth = points["mouth"]
        return HeadFeatures(
            points["right_eye"].mean(0), points["left_eye"].mean(0), mouth.mean(0), float(np.abs(mouth[:, 0]).max())
        )


def paint_head(place: np.ndarray, region: np.ndarray, features: HeadFeatures, rng: np.random.Generator) -> np.ndarray:
    """Colour of each visible surface point of one random person.

    Parameters
    ----------
    place : (H, W, 3) the point's place on the mean head, metres
    region : (H, W) int, index into REGIONS
    features : of the same model
    rng : decides who it is

    Returns
    -------
    (H, W, 3) float32 colours, 0 to 255
    """
    x, y, z = place[..., 0], place[..., 1], place[..., 2]
    tone = rng.uniform(0.0, 1.0)
    skin = SKIN_DARK + (SKIN_LIGHT - SKIN_DARK) * tone + rng.normal(0.0, 6.0, 3)
    hair = HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))] * rng.uniform(0.7, 1.2)
    colour = np.broadcast_to(skin, place.shape) * (1.0 + 0.05 * _waves(place, 60.0, rng))[..., None]
    colour = colour * (1.0 + 0.03 * _waves(place, 400.0, rng))[..., None]
    flush = np.exp(-(((np.abs(x) - 0.035) / 0.018) ** 2) - ((y + 0.005) / 0.016) ** 2)
    colour = colour + flush[..., None] * np.array([14.0, -6.0, -5.0]) * rng.uniform(0.0, 1.0)
    colour = _mix(colour, hair, _scalp_hair(x, y, z, rng) * (rng.random() < 0.85))
    if rng.random() < 0.25:
        colour = _mix(colour, np.minimum(hair, skin * 0.7), 0.6 * rng.random() * _beard(x, y, z, features))
    colour = _mix(colour, np.minimum(hair * 0.8, skin * 0.55), _brows(x, y, features, rng))
    lips = skin * rng.uniform([0.75, 0.45, 0.45], [0.95, 0.7, 0.7])
    colour = _mix(colour, lips, _lips(x, y, features) * (np.abs(z - features.mouth[2]) < 0.03))
    colour = np.where((region == REGIONS.index("mouth"))[..., None], (70.0, 30.0, 28.0), colour)
    iris = IRIS_COLOURS[rng.integers(len(IRIS_COLOURS))]
    for name, centre in (("right_eye", features.right_eye), ("left_eye", features.left_eye)):
        eye = region == REGIONS.index(name)
        colour = np.where(eye[..., None], _eye(x - centre[0], y - centre[1], iris), colour)
    for centre in (features.right_eye, features.left_eye):
        rim = np.exp(-(((np.hypot((x - centre[0]) / 0.0155, (y - centre[1]) / 0.0062) - 1.05) / 0.12) ** 2))
        colour = colour * (1.0 - 0.45 * rim * (z > 0.0))[..., None]
    return colour.clip(0.0, 255.0).astype(np.float32)


def _mix(below: np.ndarray, above: np.ndarray, share: np.ndarray) -> np.ndarray:
    return below + (above - below) * share[..., None]


def _smooth(edge: np.ndarray) -> np.ndarray:
    """Soft step from 0 below -1 to 1 above 1."""
    return 1.0 / (1.0 + np.exp(-4.0 * np.clip(edge, -8.0, 8.0)))


def _waves(place: np.ndarray, frequency: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of about unit size: a few random plane waves, frequency in cycles a metre times 2 pi."""
    directions = rng.normal(0.0, frequency, (6, 3))
    phases = rng.uniform(0.0, 2 * np.pi, 6)
    return np.sin(place @ directions.T + phases).sum(-1) / 3.0


def _scalp_hair(x: np.ndarray, y: np.ndarray, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    hairline = rng.uniform(0.055, 0.085) + 0.008 * np.cos(x * 60.0)
    above = np.maximum(y - hairline - 0.35 * np.maximum(0.0, np.abs(x) - 0.05), (-0.058 - z) * 1.2 + 0.3 * y)
    return _smooth(above / 0.004)


def _beard(x: np.ndarray, y: np.ndarray, z: np.ndarray, features: HeadFeatures) -> np.ndarray:
    below_cheeks = _smooth((-0.030 - y + 0.6 * (np.abs(x) - 0.035)) / 0.014)
    moustache = np.exp(-((x / 0.026) ** 4) - ((y - features.mouth[1] - 0.013) / 0.006) ** 2)
    not_lips = 1.0 - _lips(x, y, features)
    return np.maximum(below_cheeks * (z > -0.06), moustache) * not_lips


def _brows(x: np.ndarray, y: np.ndarray, features: HeadFeatures, rng: np.random.Generator) -> np.ndarray:
    along = (np.abs(x) - 0.0085) / 0.0445
    eye_height = (features.right_eye[1] + features.left_eye[1]) / 2
    middle = eye_height + 0.0145 + 0.0060 * np.sin(np.pi * np.clip(0.25 + 0.75 * along, 0.0, 1.0))
    half = rng.uniform(0.0025, 0.0042) * np.clip(1.25 - 0.7 * along, 0.1, 1.1)
    inside = _smooth((half - np.abs(y - middle)) / 0.0012)
    ends = _smooth((along - 0.0) / 0.05) * _smooth((1.0 - along) / 0.06)
    return rng.uniform(0.75, 0.95) * inside * ends


def _lips(x: np.ndarray, y: np.ndarray, features: HeadFeatures) -> np.ndarray:
    across = np.clip(np.abs(x) / (features.mouth_half_width * 1.06), 0.0, 1.0)
    up = y - features.mouth[1]
    upper = 0.0085 * (1.0 - across**1.6) - 0.0018 * np.exp(-((x / 0.0035) ** 2))
    lower = 0.0105 * (1.0 - across**2.2)
    inside = np.where(up > 0, upper - up, lower + up)
    return _smooth(inside / 0.0012) * (across < 1.0)


def _eye(x: np.ndarray, y: np.ndarray, iris: np.ndarray) -> np.ndarray:
    radius = np.hypot(x, y)
    white = np.broadcast_to((226.0, 220.0, 214.0), (*x.shape, 3))
    colour = _mix(white, iris, _smooth((0.0060 - radius) / 0.0006))
    colour = _mix(colour, iris * 0.45, np.exp(-(((radius - 0.0058) / 0.0007) ** 2)))
    colour = _mix(colour, np.array([8.0, 8.0, 8.0]), _smooth((0.0024 - radius) / 0.0004))
    glint = np.exp(-(((x - 0.0015) / 0.0009) ** 2) - ((y - 0.002) / 0.0009) ** 2)
    return _mix(colour, np.array([250.0, 250.0, 250.0]), 0.8 * glint)


def paint_background(size: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size, 3) float32 smooth random picture, 0 to 255."""
    coarse = rng.uniform(20.0, 235.0, (4, 4, 1)) + rng.normal(0.0, 15.0, (4, 4, 3))
    coarse = coarse.mean() + (coarse - coarse.mean()) * rng.uniform(0.1, 0.8)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).clip(0.0, 255.0)

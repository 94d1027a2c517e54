"""Glasses: frames as tubes around the eyes, a bridge on the nose, temples to the ears, dark lenses on some."""

from dataclasses import dataclass

import numpy as np

from facerecon_ray.synthesis.appearance.round_shapes import tube
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.rendering.head_scene import Part

OUTLINE_POINTS, SIDES = 33, 7

EAR_TOP = np.array([0.073, 0.026, -0.052])
"""Where the temple lies on the subject's left ear, on the average head."""


@dataclass(frozen=True)
class Frame:
    """Half width and half height of a lens, roundness (2 an ellipse, more is squarer), half thickness; metres."""

    width: tuple[float, float]
    height: tuple[float, float]
    power: tuple[float, float]
    thickness: tuple[float, float]


FRAMES = {
    "rimmed": Frame((0.024, 0.028), (0.015, 0.020), (2.3, 3.5), (0.0008, 0.0014)),
    "thick": Frame((0.025, 0.029), (0.017, 0.022), (2.5, 4.0), (0.0013, 0.0021)),
    "rimless": Frame((0.023, 0.027), (0.013, 0.018), (2.3, 3.5), (0.0003, 0.0005)),
    "round": Frame((0.021, 0.025), (0.021, 0.025), (2.0, 2.1), (0.0006, 0.0014)),
    "sunglasses": Frame((0.025, 0.029), (0.018, 0.023), (2.2, 3.5), (0.0010, 0.0026)),
}

COLOURS = np.array(
    [[20, 18, 18], [48, 30, 20], [92, 60, 36], [150, 140, 120], [170, 150, 90], [30, 40, 80], [120, 30, 36]]
)


class GlassesMaker:
    """Fits glasses to heads."""

    def __init__(self, geometry: HeadGeometry) -> None:
        self._geometry = geometry
        self._ears = [
            int(np.linalg.norm(geometry.average - EAR_TOP * (side, 1.0, 1.0), axis=1).argmin()) for side in (-1.0, 1.0)
        ]

    def parts(self, subject: Subject) -> list[Part]:
        """Frame, and lenses where they are dark."""
        kind = subject.looks.glasses
        if kind is None:
            return []
        frame, rng = FRAMES[kind], subject.rng("glasses")
        marks = self._geometry.landmarks_of(subject.neutral)
        face = float(np.linalg.norm(marks[36:42].mean(0) - marks[42:48].mean(0)))
        size = face / 0.063
        half = np.array([rng.uniform(*frame.width), rng.uniform(*frame.height)]) * size
        power, radius = rng.uniform(*frame.power), rng.uniform(*frame.thickness)
        nose, slip = marks[27], rng.uniform(0.0, 0.006)
        brow = marks[[19, 24]].mean(0)
        front = max(nose[2], brow[2]) + 0.007
        height = marks[36:48, 1].mean() - 0.002 - slip
        centre = max(0.5 * face + 0.002, half[0] + 0.0075)
        meshes, lenses = [], []
        for side, ear in zip((-1.0, 1.0), self._ears, strict=True):
            outline = _outline(half, power) * (side, 1.0)
            x = side * centre + outline[:, 0]
            z = front - 1.6 * x**2 + 0.0008
            loop = np.stack([nose[0] + x, height + outline[:, 1], z], 1)
            meshes.append(tube(loop, np.full(len(loop), radius), SIDES))
            lenses.append(loop)
            hinge = loop[np.abs(loop[:, 0] - nose[0]).argmax()] + (side * 0.002, 0.005, -0.001)
            top = subject.neutral[ear] + (side * 0.002, 0.004, 0.0)
            hook = top + (-side * 0.004, -0.022, -0.022)
            path = np.concatenate([np.linspace(hinge, top, 8), np.linspace(top, hook, 4)[1:]])
            meshes.append(tube(path, np.tile([max(radius, 0.0009), max(1.6 * radius, 0.0012)], (len(path), 1)), SIDES))
        inner = centre - half[0]
        t = np.linspace(-1.0, 1.0, 9)
        arc = np.stack(
            [nose[0] + t * (inner + 0.001), height + 0.004 + 0.003 * (1 - t**2), front + 0.001 * (1 - t**2)], 1
        )
        meshes.append(tube(arc, np.full(len(arc), max(radius, 0.0008)), SIDES, up=(0.0, 1.0, 0.0)))
        colour = np.clip(COLOURS[rng.integers(len(COLOURS))] * rng.uniform(0.6, 1.2), 0, 255).astype(np.uint8)
        texture = np.tile(colour, (8, 8, 1))
        parts = [_joined(meshes, texture)]
        if kind == "sunglasses":
            tint = (np.array([22, 20, 20]) + rng.uniform(0.0, 30.0, 3)).astype(np.uint8)
            parts += [_lens(loop, np.tile(tint, (8, 8, 1))) for loop in lenses]
        return parts


def _outline(half: np.ndarray, power: float) -> np.ndarray:
    """(OUTLINE_POINTS, 2) closed superellipse, flatter above than below."""
    angle = np.linspace(0.0, 2 * np.pi, OUTLINE_POINTS)
    cosine, sine = np.cos(angle), np.sin(angle)
    points = np.stack(
        [np.sign(cosine) * np.abs(cosine) ** (2 / power), np.sign(sine) * np.abs(sine) ** (2 / power)], 1
    )
    return points * half


def _joined(meshes: list[tuple[np.ndarray, np.ndarray, np.ndarray]], texture: np.ndarray) -> Part:
    first = np.cumsum([0] + [len(vertices) for vertices, _, _ in meshes])
    return Part(
        np.concatenate([vertices for vertices, _, _ in meshes]),
        np.concatenate([triangles + start for (_, triangles, _), start in zip(meshes, first[:-1], strict=True)]),
        np.concatenate([uv for _, _, uv in meshes]),
        texture,
        gloss=0.6,
        two_sided=True,
        casts=False,
        name="glasses",
    )


def _lens(loop: np.ndarray, texture: np.ndarray) -> Part:
    middle = loop[:-1].mean(0) + (0.0, 0.0, 0.0015)
    vertices = np.concatenate([loop, middle[None]]).astype(np.float32)
    count = len(loop)
    triangles = np.stack([np.arange(count - 1), np.arange(1, count), np.full(count - 1, count)], 1)
    uv = np.full((count + 1, 2), 0.5, np.float32)
    return Part(vertices, triangles, uv, texture, gloss=0.95, two_sided=True, name="glasses")

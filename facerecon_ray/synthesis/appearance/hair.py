"""Scalp hair as shells over the head: a closed one below, one with gaps over it, curtains of long hair, knots."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from facerecon_ray.synthesis.appearance.hair_texture import cut_ends, strands
from facerecon_ray.synthesis.appearance.round_shapes import ball, tube
from facerecon_ray.synthesis.appearance.scalp_grid import COLUMNS, ScalpGrid, Shell
from facerecon_ray.synthesis.people.head_places import hairline, step
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.rendering.head_scene import Part

GLOSS, TRANSLUCENCY = 0.28, 0.25

ROWS, HANGING_ROWS = 15, 9

OVER_EARS = 0.009
"""Metres by which hanging hair keeps clear of the ears."""


@dataclass(frozen=True)
class Style:
    """Ranges from which a hair style is drawn; lengths in metres.

    top, sides   thickness over the skull on top, and at the sides and the back
    curl         0 straight to 1 frizzy
    length       height at which hanging hair ends, in the head frame; None for hair that does not hang
    fringe       how far hair hangs over the forehead, as a share of the way to the brows
    opening      degrees from the front at which hanging hair begins
    lump         unevenness of the outline, as a share of the thickness
    knot         bun or tail at the back
    combed       away from the forehead: a smooth hairline instead of ends that hang
    """

    top: tuple[float, float]
    sides: tuple[float, float]
    curl: tuple[float, float] = (0.0, 0.25)
    length: tuple[float, float] | None = None
    fringe: tuple[float, float] = (0.0, 0.0)
    opening: tuple[float, float] = (58.0, 78.0)
    lump: float = 0.12
    knot: str | None = None
    combed: bool = False


STYLES = {
    "shaved": Style((0.002, 0.0032), (0.002, 0.003), (0.95, 1.0), lump=0.0),
    "short": Style((0.008, 0.024), (0.004, 0.010), (0.0, 0.4)),
    "side part": Style((0.014, 0.028), (0.006, 0.014), (0.0, 0.2), lump=0.2, combed=True),
    "swept back": Style((0.012, 0.026), (0.005, 0.014), (0.0, 0.2), combed=True),
    "curly": Style((0.016, 0.036), (0.010, 0.028), (0.62, 0.85), lump=0.25),
    "afro": Style((0.020, 0.055), (0.016, 0.050), (0.9, 1.0), lump=0.06),
    "receding": Style((0.003, 0.012), (0.004, 0.012), (0.0, 0.5)),
    "fringe": Style((0.014, 0.026), (0.008, 0.016), (0.0, 0.3), fringe=(0.1, 0.45)),
    "long": Style((0.012, 0.026), (0.008, 0.02), (0.0, 0.5), (-0.30, -0.13), combed=True),
    "bob": Style((0.012, 0.026), (0.010, 0.024), (0.0, 0.4), (-0.10, -0.045), combed=True),
    "long fringe": Style((0.012, 0.026), (0.008, 0.02), (0.0, 0.35), (-0.28, -0.10), fringe=(0.1, 0.45)),
    "tied back": Style((0.004, 0.010), (0.003, 0.007), (0.0, 0.3), knot="tail", combed=True),
    "bun": Style((0.004, 0.014), (0.003, 0.009), (0.0, 0.4), knot="bun", combed=True),
}


class HairMaker:
    """Builds the hair of subjects."""

    def __init__(self, grid: ScalpGrid) -> None:
        self._grid = grid
        self._angle = np.abs(grid.directions)
        along = np.linspace(0.0, 1.0, ROWS)[:, None]
        self._beside_ears = step((along - 0.8) / 0.2) * np.exp(-(((self._angle - 95.0) / 28.0) ** 2))

    def parts(self, subject: Subject, press: float = 1.0) -> list[Part]:
        """Hair of a subject.

        Parameters
        ----------
        subject : whose hair
        press : factor on the thickness, for hair under a hat
        """
        style = STYLES.get(subject.looks.hair)
        if style is None:
            return []
        rng = subject.rng("hair")
        curl = float(rng.uniform(*style.curl))
        thickness = self._thickness(style, rng) * press
        hang = rng.uniform(*style.length) if style.length else None
        if hang is not None:
            thickness = thickness + OVER_EARS * self._beside_ears
        end = self._ends(subject, style, rng, hang)
        colour, field = strands(subject.looks.hair_colour, subject.looks.grey, curl, rng)
        rows = ROWS
        shell = self._grid.shell(subject, end, rows, thickness)
        if hang is not None:
            shell = self._curtain(shell, style, hang, rng)
        ragged = (
            0.0
            if subject.looks.hair == "shaved"
            else rng.uniform(0.02, 0.06)
            if style.combed
            else rng.uniform(0.05, 0.2)
        )
        parts = [self._part(subject, shell, 0.72, colour * 0.86, cut_ends(field, ragged, 0.0), 0.75)]
        if subject.looks.hair != "shaved":
            parts.append(self._part(subject, shell, 1.0, colour, cut_ends(field, 0.6 * ragged, 0.75), 0.95))
            parts.append(
                self._part(
                    subject,
                    shell,
                    1.0 + 0.06 + 0.1 * curl,
                    colour * 1.05,
                    cut_ends(np.roll(field, 97, 1), 0.3, 1.25),
                    1.0,
                )
            )
        if style.knot:
            parts.append(self._knot(subject, style.knot, colour, curl, rng))
        return parts

    def _part(
        self, subject: Subject, shell: Shell, height: float, colour: np.ndarray, alpha: np.ndarray, openness: float
    ) -> Part:
        """One layer at a share of the full height over the skin."""
        skin = shell.vertices - shell.offset
        vertices = skin + shell.offset * height
        texture = np.dstack([cv2.convertScaleAbs(np.ascontiguousarray(colour)), alpha])
        moved = Shell(vertices, shell.along, shell.offset)
        return Part(
            moved.points(),
            moved.triangles(),
            moved.uv(),
            texture,
            openness=np.full(shell.along.size, openness, np.float32),
            gloss=GLOSS,
            translucency=TRANSLUCENCY,
            two_sided=True,
            name="hair",
        )

    def _thickness(self, style: Style, rng: np.random.Generator) -> np.ndarray:
        """(ROWS, COLUMNS) metres over the skin: full on top, thinner at the hairline."""
        top, sides = rng.uniform(*style.top), rng.uniform(*style.sides)
        along = np.linspace(0.0, 1.0, ROWS)[:, None]
        body = top + (sides - top) * step((along - 0.55) / 0.35)
        front = np.clip(1.0 - self._angle / 70.0, 0.0, 1.0)[None]
        body = body + front * (top - body) * rng.uniform(0.2, 0.9)
        edge = 0.08 if style.combed else 0.25
        thin = edge + (1.0 - edge) * step((1.0 - along) / 0.12 - 0.6)
        lumps = _smooth_noise(rng, (ROWS, COLUMNS - 1), (2.0, 1.6))
        lumps = np.concatenate([lumps, lumps[:, :1]], 1)
        uneven = 1.0 + style.lump * lumps
        if style.lump >= 0.2 and style.curl[1] < 0.5:
            side = rng.choice([-1.0, 1.0])
            parting = np.exp(-(((self._grid.directions - side * 28.0) / 9.0) ** 2))[None]
            uneven = uneven * (1.0 - 0.7 * parting)
        return body * thin * uneven.clip(0.3)

    def _ends(self, subject: Subject, style: Style, rng: np.random.Generator, hang: float | None) -> np.ndarray:
        """(COLUMNS,) row of the table at which each column ends: at the hairline, over the forehead, by the ears."""
        receding = subject.receding
        low = hairline(self._angle, receding, subject.hairline_height)
        wanted = low + 0.004 * _smooth_noise(rng, (1, COLUMNS), (0.0, 1.5))[0]
        if style.fringe[1] > 0.0:
            reach = rng.uniform(*style.fringe)
            front = step((46.0 - self._angle) / 8.0)
            wanted = wanted - front * reach * 0.036
        if hang is not None:
            opening = rng.uniform(*style.opening)
            side = step((self._angle - opening) / 5.0)
            wanted = wanted * (1.0 - side)
        return self._grid.row_at_height(wanted)

    def _curtain(self, shell: Shell, style: Style, bottom: float, rng: np.random.Generator) -> Shell:
        """Rows that hang from the sides and the back, from the last row of the shell down."""
        opening = rng.uniform(*style.opening)
        share = step((self._angle - opening - 6.0) / 7.0)
        last = shell.vertices[-1]
        drop = (last[:, 1] - bottom) * share
        down = np.linspace(0.0, 1.0, HANGING_ROWS + 1)[1:, None]
        flare = rng.uniform(-0.015, 0.02)
        sideways = last * (1.0, 0.0, 1.0) - (0.0, 0.0, -0.05)
        outward = sideways / np.linalg.norm(sideways, axis=1, keepdims=True)
        wave = rng.uniform(0.0, 0.006) * np.sin(down * rng.uniform(4.0, 12.0) + rng.uniform(0.0, 6.0))
        tuck = -0.02 * np.clip((self._angle - 110.0) / 70.0, 0.0, 1.0)[None] * np.sin(np.pi * down)
        shift = (flare * down + wave + tuck) * share[None]
        hanging = last[None] + outward[None] * shift[..., None]
        hanging[..., 1] -= drop[None] * down
        rows = len(shell.vertices)
        length = np.linspace(0.0, 1.0, rows + HANGING_ROWS)[:, None]
        offset = np.concatenate([shell.offset, np.repeat(shell.offset[-1:], HANGING_ROWS, 0)])
        return Shell(
            np.concatenate([shell.vertices, hanging]), np.broadcast_to(length, (rows + HANGING_ROWS, COLUMNS)), offset
        )

    def _knot(self, subject: Subject, kind: str, colour: np.ndarray, curl: float, rng: np.random.Generator) -> Part:
        """A bun, or a tail that hangs from the back."""
        back = subject.neutral[:, 2].min()
        top = subject.neutral[:, 1].max()
        if kind == "bun":
            high = rng.uniform(0.25, 0.9)
            centre = np.array([0.0, high * top, back + 0.045 * max(high - 0.35, 0.0) * 2.0 - 0.008])
            vertices, triangles, uv = ball(centre, np.array([1.0, 0.9, 0.85]) * rng.uniform(0.026, 0.042), 20, 12)
        else:
            start = np.array([0.0, rng.uniform(0.02, 0.09), back + 0.004])
            length = rng.uniform(0.12, 0.3)
            bend = rng.normal(0.0, 0.015)
            t = np.linspace(0.0, 1.0, 10)[:, None]
            swing = 0.045 * np.sin(np.pi * np.minimum(t * 1.4, 1.0))
            path = start + np.concatenate([bend * t**2, -length * t**1.3, -swing + 0.03 * t], 1)
            radius = rng.uniform(0.018, 0.028) * np.interp(t[:, 0], (0.0, 0.15, 0.5, 1.0), (0.5, 1.0, 0.9, 0.3))
            vertices, triangles, uv = tube(path, radius, 14)
        texture = cv2.convertScaleAbs(np.ascontiguousarray(colour))
        return Part(
            vertices, triangles, uv, texture, gloss=GLOSS, translucency=TRANSLUCENCY, two_sided=True, name="hair"
        )


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], size: tuple[float, float]) -> np.ndarray:
    """Noise of unit size, smooth over some rows and columns."""
    noise = rng.standard_normal(shape)
    for axis, sigma in enumerate(size):
        if sigma > 0.0:
            reach = int(3 * sigma)
            kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
            noise = ndimage.convolve1d(noise, kernel, axis, mode="wrap")
            noise = noise / np.sqrt((kernel**2).sum())
    return noise

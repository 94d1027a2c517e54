"""Caps, hats, beanies, headbands, turbans and headscarves, built like hair as shells over the head."""

import cv2
import numpy as np

from facerecon_ray.synthesis.appearance.round_shapes import grid_triangles, grid_uv
from facerecon_ray.synthesis.appearance.scalp_grid import COLUMNS, MIDDLE, ScalpGrid, Shell
from facerecon_ray.synthesis.people.head_places import step
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.rendering.head_scene import Part

ROWS = 14
UNDER = {"cap": 0.2, "hat": 0.2, "beanie": 0.2, "headband": 0.9, "turban": 0.0, "headscarf": 0.0}
"""Factor on the thickness of the hair below; 0 for none that is seen."""

TEXTURE = (96, 256)


class HeadwearMaker:
    """Builds what is worn on the head."""

    def __init__(self, grid: ScalpGrid) -> None:
        self._grid = grid
        self._angle = np.abs(grid.directions)

    def parts(self, subject: Subject) -> list[Part]:
        """Headwear of a subject."""
        kind = subject.looks.headwear
        if kind is None:
            return []
        rng = subject.rng("headwear")
        picture = _cloth(kind, rng)
        if kind == "headscarf":
            return [self._scarf(subject, picture, rng)]
        front, back = {
            "cap": (0.092, 0.03), "hat": (0.094, 0.035), "beanie": (0.080, -0.005), "headband": (0.080, 0.03),
            "turban": (0.080, 0.0),
        }[kind]  # fmt: skip
        front, back = front + rng.uniform(-0.008, 0.008), back + rng.uniform(-0.015, 0.01)
        lower = back + (front - back) * (0.5 + 0.5 * np.cos(np.radians(self._angle)))
        thickness = self._thickness(kind, rng)
        shell = self._grid.shell(subject, self._grid.row_at_height(lower), ROWS, thickness)
        alpha = np.full(TEXTURE, 255, np.uint8)
        if kind == "headband":
            alpha[: int(TEXTURE[0] * rng.uniform(0.6, 0.8))] = 0
        parts = [_part(shell, np.dstack([picture, alpha]))]
        if kind in ("cap", "hat"):
            parts.append(self._brim(shell, kind, picture, rng))
        return parts

    def _thickness(self, kind: str, rng: np.random.Generator) -> np.ndarray:
        along = np.linspace(0.0, 1.0, ROWS)[:, None]
        body = {"cap": 0.012, "hat": 0.012, "beanie": 0.012, "headband": 0.009, "turban": 0.016}[kind]
        crown = {"cap": 0.018, "hat": 0.075, "beanie": 0.030, "headband": 0.009, "turban": 0.045}[kind]
        top = (crown - body) * rng.uniform(0.4, 1.0) * (1.0 - along) ** (0.5 if kind == "hat" else 1.2)
        folds = np.zeros((ROWS, COLUMNS))
        if kind == "turban":
            turn = 3.0 * along * np.pi * 2 + np.radians(self._angle)[None]
            folds = 0.006 * np.abs(np.sin(turn))
        return np.broadcast_to(body + top + folds, (ROWS, COLUMNS))

    def _brim(self, shell: Shell, kind: str, picture: np.ndarray, rng: np.random.Generator) -> Part:
        """A peak at the front, or a brim all around."""
        rim = shell.vertices[-1]
        outward = (rim - MIDDLE) * (1.0, 0.0, 1.0)
        outward = outward / np.linalg.norm(outward, axis=1, keepdims=True)
        if kind == "cap":
            reach = rng.uniform(0.05, 0.07) * step((58.0 - self._angle) / 12.0) ** 0.5
            outward = outward * (0.35, 1.0, 1.0)
        else:
            reach = np.full(COLUMNS, rng.uniform(0.03, 0.065))
        share = np.linspace(0.0, 1.0, 5)[:, None, None]
        droop = rng.uniform(0.1, 0.35) if kind == "cap" else rng.uniform(-0.15, 0.3)
        rows = rim[None] + (outward * reach[:, None])[None] * share
        rows[..., 1] -= droop * reach[None] * share[..., 0] ** 1.5
        return Part(
            rows.reshape(-1, 3).astype(np.float32),
            grid_triangles(5, COLUMNS),
            grid_uv(5, COLUMNS),
            np.ascontiguousarray(picture),
            gloss=0.08,
            two_sided=True,
            name="headwear",
        )

    def _scarf(self, subject: Subject, picture: np.ndarray, rng: np.random.Generator) -> Part:
        """A cloth around the head that leaves the face free and closes below the chin."""
        forehead, opening = rng.uniform(0.062, 0.082), rng.uniform(56.0, 68.0)
        side = step((self._angle - opening) / 6.0)
        lower = forehead + (-0.02 - forehead) * side
        thickness = np.full((ROWS, COLUMNS), 0.010) + 0.012 * step((self._angle - 60.0) / 40.0)[None]
        shell = self._grid.shell(subject, self._grid.row_at_height(lower), ROWS, thickness)
        last = shell.vertices[-1]
        hanging = []
        chin = float(subject.vertices[self._grid.chin, 1].min())
        bottom = chin - 0.085
        around = np.radians(self._grid.directions)
        closed = np.sign(around) * np.clip(
            (np.abs(around) - np.radians(opening + 6.0)) / (np.pi - np.radians(opening + 6.0)), 0.0, 1.0
        )
        closed = closed * np.pi
        for share in np.linspace(0.12, 1.0, 9):
            turn = around + (closed - around) * min(1.0, share * 1.9)
            wide, deep = 0.078 + 0.02 * share, 0.085 + 0.015 * share
            ring = np.stack([wide * np.sin(turn), 0.0 * turn, -0.045 + deep * np.cos(turn)], 1)
            reach = min(1.0, share * 1.6)
            row = last + (ring - last) * reach * side[:, None]
            row[:, 1] = last[:, 1] + (bottom - last[:, 1]) * share * side
            hanging.append(row)
        rows = np.concatenate([shell.vertices, np.stack(hanging)])
        along = np.broadcast_to(np.linspace(0.0, 1.0, len(rows))[:, None], rows.shape[:2])
        return _part(Shell(rows, along, np.zeros_like(rows)), np.dstack([picture, np.full(TEXTURE, 255, np.uint8)]))


def _part(shell: Shell, texture: np.ndarray) -> Part:
    return Part(
        shell.points(),
        shell.triangles(),
        shell.uv(),
        np.ascontiguousarray(texture),
        gloss=0.08,
        two_sided=True,
        name="headwear",
    )


def _cloth(kind: str, rng: np.random.Generator) -> np.ndarray:
    """(96, 256, 3) uint8 cloth, knitted for beanies."""
    colour = np.clip(rng.uniform(20.0, 220.0) + rng.normal(0.0, 1.0, 3) * rng.uniform(0.0, 60.0), 10.0, 235.0)
    second = np.clip(colour + rng.normal(0.0, 60.0, 3), 10.0, 235.0)
    x, y = np.meshgrid(np.arange(TEXTURE[1]), np.arange(TEXTURE[0]))
    share = np.zeros(TEXTURE)
    if kind == "beanie":
        share = 0.35 * (np.sin(x * 0.9) > 0) + 0.2 * (np.sin(y * 1.1) > 0)
    elif rng.random() < 0.3:
        share = 1.0 * (np.sin(x * rng.uniform(0.1, 0.5)) * np.sin(y * rng.uniform(0.1, 0.5)) > 0.3)
    noise = rng.standard_normal(TEXTURE, np.float32)
    folds = cv2.GaussianBlur(rng.standard_normal(TEXTURE, np.float32), (0, 0), 5.0)
    lit = 1.0 + 0.03 * noise + 0.08 * folds / folds.std()
    picture = (colour + (second - colour) * share[..., None]) * lit[..., None]
    return cv2.convertScaleAbs(np.ascontiguousarray(picture, np.float32))

"""Scenes with many faces of any size and roll, composed of pictures of single faces: what the proposer learns from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facerecon_ray.config.training import CrowdSettings
from facerecon_ray.networks.face_proposer import LARGEST, SMALLEST, STRIDE

MARGIN = 1.2
"""Faces that are smaller or larger than the network is to see by up to this factor are neither here nor there."""

SHOWN, HIDDEN = 0.65, 0.35
"""Shares of a face's middle that must show for it to be one, and below which it is none."""

MIDDLE = 0.35
"""Radius of that middle, as a share of the face's side."""

MASK_SIDE = 96
COVERED = 0.5


@dataclass(frozen=True)
class FaceCut:
    """A picture of one face.

    picture  (S, S, 3) uint8 RGB
    centre   (2,) x and y of the middle of dlib's window around the face, pixels
    size     side of that window, pixels
    roll     degrees, clockwise in the image
    """

    picture: np.ndarray
    centre: tuple[float, float]
    size: float
    roll: float


@dataclass(frozen=True)
class Crowd:
    """A scene.

    picture  (N, N, 3) uint8 RGB
    faces    (K, 4) float32 x, y, size and roll of the faces that are to be found, pixels and degrees
    unsure   (N / 4, N / 4) bool, cells of faces that may be found or not
    """

    picture: np.ndarray
    faces: np.ndarray
    unsure: np.ndarray


class CrowdComposer:
    """Composes scenes.

    Parameters
    ----------
    settings : what scenes are like
    backgrounds : (H, W, 3) uint8 RGB pictures without people, of at least the scene's size
    """

    def __init__(self, settings: CrowdSettings, backgrounds: Sequence[np.ndarray]) -> None:
        self._settings, self._backgrounds = settings, backgrounds

    def compose(self, faces: Sequence[FaceCut], rng: np.random.Generator) -> Crowd:
        """One scene.

        Parameters
        ----------
        faces : the people that it may show
        rng : decides everything
        """
        side = self._settings.side
        canvas = _Canvas(self._background(rng))
        placed: list[tuple[float, float, float, float]] = []
        for number in range(int(rng.poisson(self._settings.faces))):
            self._distract(canvas, faces, rng)
            face = faces[int(rng.integers(len(faces)))]
            size, roll = self._size(rng), self._roll(rng)
            if placed and rng.random() < self._settings.beside_share:
                x, y, other, _ = placed[rng.integers(len(placed))]
                way, apart = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.75, 1.3) * (size + other) / 2
                x, y = x + apart * np.cos(way), y + apart * np.sin(way)
            else:
                x, y = rng.uniform(-0.1, 1.1, 2) * side
            canvas.paste(face, (x, y), size, roll, number, rng)
            placed.append((x, y, size, roll))
        self._distract(canvas, faces, rng)
        picture = canvas.picture
        if rng.random() < self._settings.dark_share:
            picture = np.round(picture * np.float32(rng.uniform(0.15, 0.7))).astype(np.uint8)
        shown = np.array([canvas.shown(number, *face[:3]) for number, face in enumerate(placed)])
        found, unsure = _sorted_out(np.array(placed, np.float32).reshape(-1, 4), shown, side)
        return Crowd(picture, found, unsure)

    def _background(self, rng: np.random.Generator) -> np.ndarray:
        """A part of a picture, at any scale."""
        picture = self._backgrounds[int(rng.integers(len(self._backgrounds)))]
        most = min(picture.shape[:2])
        side = round(math.exp(rng.uniform(math.log(0.5 * self._settings.side), math.log(most))))
        top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[:2])
        part = np.ascontiguousarray(picture[top : top + side, left : left + side])
        how = cv2.INTER_AREA if side > self._settings.side else cv2.INTER_LINEAR
        part = cv2.resize(part, (self._settings.side, self._settings.side), interpolation=how)
        turned: np.ndarray = np.rot90(part, int(rng.integers(4))).copy()
        return turned

    def _size(self, rng: np.random.Generator) -> float:
        low, high = self._settings.sizes
        return float(math.exp(rng.uniform(math.log(low), math.log(high))))

    def _roll(self, rng: np.random.Generator) -> float:
        if rng.random() < self._settings.upright_share:
            return float(rng.normal(0.0, 15.0))
        return float(rng.uniform(-180.0, 180.0))

    def _distract(self, canvas: "_Canvas", faces: Sequence[FaceCut], rng: np.random.Generator) -> None:
        """Paste what is no face, with the outlines and the colours of faces."""
        for _ in range(int(rng.poisson(self._settings.distractors))):
            centre = rng.uniform(0.0, 1.0, 2) * self._settings.side
            if rng.random() < 0.6:
                whole = self._background(rng)
                size = whole.shape[0] / rng.uniform(1.8, 2.6)
                cut = FaceCut(whole, (whole.shape[1] / 2, whole.shape[0] / 2), size, 0.0)
            else:
                cut = _scrambled(faces[int(rng.integers(len(faces)))], rng)
            canvas.paste(cut, tuple(centre), self._size(rng), self._roll(rng), -1, rng)


class _Canvas:
    """A picture and who is seen at each of its pixels."""

    def __init__(self, background: np.ndarray) -> None:
        self.picture = background
        self._owner = np.full(background.shape[:2], -1, np.int16)

    def paste(
        self,
        cut: FaceCut,
        centre: tuple[float, float],
        size: float,
        roll: float,
        number: int,
        rng: np.random.Generator,
    ) -> None:
        """Lay a cut over the picture, its face at a place, of a size and roll, inside a soft or a hard outline."""
        zoom = size / cut.size
        reach = math.ceil(cut.picture.shape[0] * zoom * 0.75) + 2
        height, width = self.picture.shape[:2]
        x0, y0 = (max(0, math.floor(c) - reach) for c in centre)
        x1, y1 = min(width, math.ceil(centre[0]) + reach), min(height, math.ceil(centre[1]) + reach)
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        source, shrink = _shrunk(cut.picture, zoom)
        mirrored = rng.random() < 0.5
        turn = math.radians(roll + cut.roll if mirrored else roll - cut.roll)
        cosine, sine, sign = zoom * shrink * math.cos(turn), zoom * shrink * math.sin(turn), -1.0 if mirrored else 1.0
        linear = np.array([[sign * cosine, -sine], [sign * sine, cosine]])
        from_source = np.array(cut.centre) / shrink - 0.5
        offset = np.array(centre) - (x0, y0) - 0.5 - linear @ from_source
        matrix, target = np.column_stack([linear, offset]), (x1 - x0, y1 - y0)
        drawn = cv2.warpAffine(source, matrix, target, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask_scale = source.shape[0] / MASK_SIDE
        of_mask = np.column_stack([linear * mask_scale, linear @ np.full(2, mask_scale / 2 - 0.5) + offset])
        outline = _outline(cut, rng)
        opacity = cv2.warpAffine(outline, of_mask, target, flags=cv2.INTER_LINEAR)[..., None]
        place = np.s_[y0:y1, x0:x1]
        below = self.picture[place].astype(np.float32)
        self.picture[place] = np.round(below + (drawn - below) * opacity).astype(np.uint8)
        self._owner[place][opacity[..., 0] > COVERED] = number

    def shown(self, number: int, x: float, y: float, size: float) -> float:
        """Share of the middle of a face that shows."""
        height, width = self.picture.shape[:2]
        radius = MIDDLE * size
        rows, columns = np.mgrid[
            math.floor(y - radius) : math.ceil(y + radius) + 1, math.floor(x - radius) : math.ceil(x + radius) + 1
        ]
        disc = np.hypot(columns + 0.5 - x, rows + 0.5 - y) <= radius
        inside = disc & (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        seen = self._owner[rows[inside], columns[inside]] == number
        return float(seen.sum() / max(1, disc.sum()))


def _outline(cut: FaceCut, rng: np.random.Generator) -> np.ndarray:
    """(96, 96) float32 0 to 1 of the cut's square: an ellipse around the head, or nearly all of the picture."""
    share = MASK_SIDE / cut.picture.shape[0]
    mask = np.zeros((MASK_SIDE, MASK_SIDE), np.float32)
    kind = rng.random()
    if kind < 0.6:
        centre = tuple(float(c * share) for c in cut.centre)
        radii = tuple(float(cut.size * share * r) for r in (rng.uniform(0.5, 0.85), rng.uniform(0.6, 0.95)))
        cv2.ellipse(mask, (centre, (2 * radii[0], 2 * radii[1]), cut.roll), 1.0, -1, cv2.LINE_AA)
    else:
        edge = int(rng.integers(2, MASK_SIDE // 10))
        mask[edge:-edge, edge:-edge] = 1.0
    softness = rng.choice([0.0, 1.5, 4.0])
    if softness:
        mask = cv2.GaussianBlur(mask, (0, 0), float(softness))
    return mask


def _shrunk(picture: np.ndarray, zoom: float) -> tuple[np.ndarray, float]:
    """The picture averaged down so that it is drawn at 0.5 to 1 of its size; and the factor."""
    shrink = 2 ** max(0, math.floor(math.log2(1.0 / zoom)))
    if shrink == 1:
        return picture, 1.0
    side = max(1, picture.shape[0] // shrink)
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), picture.shape[0] / side


def _scrambled(cut: FaceCut, rng: np.random.Generator) -> FaceCut:
    """The colours and edges of a face, but no face: its quarters in another order, or smeared."""
    side = cut.picture.shape[0] // 2
    parts = [cut.picture[y : y + side, x : x + side] for y in (0, side) for x in (0, side)]
    if rng.random() < 0.5:
        order = rng.permutation(4)
        while (order == np.arange(4)).sum() > 1:
            order = rng.permutation(4)
        parts = [np.rot90(parts[index], int(rng.integers(4))) for index in order]
        picture = np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])
    else:
        coarse = int(rng.integers(4, 9))
        smeared = cv2.resize(cut.picture, (coarse, coarse), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(smeared, cut.picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return FaceCut(np.ascontiguousarray(picture), cut.centre, cut.size, cut.roll)


def _sorted_out(placed: np.ndarray, shown: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The faces to be found, and the cells of those that may be found or not."""
    cells = side // STRIDE
    unsure = np.zeros((cells, cells), bool)
    if not len(placed):
        return placed, unsure
    size = placed[:, 2]
    fits = (size >= SMALLEST) & (size <= LARGEST)
    nearly = (size >= SMALLEST / MARGIN) & (size <= LARGEST * MARGIN)
    found = fits & (shown >= SHOWN)
    middles = np.mgrid[0:cells, 0:cells].transpose(1, 2, 0)[..., ::-1] * STRIDE + STRIDE / 2
    for x, y, face_size, _ in placed[nearly & (shown >= HIDDEN) & ~found]:
        unsure |= np.abs(middles - (x, y)).max(-1) < face_size / 2
    return placed[found], unsure

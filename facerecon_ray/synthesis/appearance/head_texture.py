"""The skin's texture: pigments, blood and marks painted into the atlas, then lips, brows and short hair over them.

Colour comes from what absorbs light in skin, melanin and haemoglobin, so that all tones and all blushes stay skin
(Tsumura et al., Image-based skin color and texture analysis/synthesis by extracting hemoglobin and melanin
information in the skin, 2003): display values are exp of minus the pigments' absorbance.
"""

import cv2
import numpy as np

from facerecon_ray.synthesis.appearance.atlas_drawing import SmoothNoise, filled, grain, smooth_curve, strokes
from facerecon_ray.synthesis.appearance.eyebrows import BrowPainter
from facerecon_ray.synthesis.appearance.make_up import paint_make_up
from facerecon_ray.synthesis.appearance.skin_marks import SkinMarks
from facerecon_ray.synthesis.people.head_geometry import ISLANDS, HeadGeometry
from facerecon_ray.synthesis.people.head_places import azimuth, beard_field, hairline, step
from facerecon_ray.synthesis.people.person import Subject

GAMMA = 2.2

BARE = np.log(np.array([0.90, 0.72, 0.60], np.float32))
"""Log of the linear red, green and blue that skin without pigments reflects."""
MELANIN_ABSORBS = np.array([2.60, 3.25, 3.70], np.float32)
BLOOD_ABSORBS = np.array([0.06, 0.30, 0.25], np.float32)
YELLOW_ABSORBS = np.array([0.0, 0.03, 0.16], np.float32)

NOSTRIL_RISE = np.array([0.0, 0.0025, 0.003])
"""Metres from the middle between a wing's landmark and the one beside it to the middle of the nostril."""
NOSTRIL_SIZE = np.array([0.0055, 0.005, 0.007])

FULLNESS = {
    "short": (0.4, 0.75), "full": (0.65, 1.0), "long": (0.8, 1.0), "goatee": (0.5, 1.0), "moustache": (0.6, 1.0),
}  # fmt: skip
"""Range of the density of beards where they grow most; 1 for others."""

MOUTH_COLOUR = np.array([138.0, 62.0, 58.0], np.float32)


class SkinPainter:
    """Paints the skin of subjects: (512, 512, 3) uint8 textures in the atlas of `HeadGeometry`."""

    def __init__(self, geometry: HeadGeometry) -> None:
        maps = geometry.maps
        place = maps.place
        self._marks = geometry.landmarks
        self._flat_marks = maps.texels_of(self._marks).astype(np.float64)
        y, z = place[..., 1], place[..., 2]
        self._noise = SmoothNoise(place)
        self._azimuth, self._height = azimuth(place).astype(np.float32), y
        self._head = maps.island == ISLANDS.index("head")
        self._inside = maps.island == ISLANDS.index("mouth")
        sockets = (maps.island == ISLANDS.index("right socket")) | (maps.island == ISLANDS.index("left socket"))
        self._socket = sockets.astype(np.float32)
        self._fold = np.where(self._head, (maps.hollow / 180.0).clip(0.0, 1.0), 0.0).astype(np.float32)
        mouth = self._marks[60:68].mean(0)
        self._beard = [field.astype(np.float32) * self._head for field in beard_field(place, mouth)]
        outline = np.concatenate([self._flat_marks[48:60]])
        self._lips = filled(smooth_curve(outline, 96, closed=True), 0.8) * self._head
        self._lips = np.maximum(self._lips, self._inside * step((z - 0.047) / 0.004)).astype(np.float32)
        self._seams = self._dark_seams()
        self._nostrils = self._dark_nostrils(place, maps.normal[..., 1])
        self._red_places = self._red_regions(place, maps.normal[..., 2])
        self._pale_lids = self._around_eyes(place, (0.013, 0.011), 0.004) * self._head
        self._under_eyes = self._around_eyes(place, (0.017, 0.008), -0.011) * self._head
        self._pores = (0.4 + 0.6 * _bump(place, (0.0, 0.0, 0.055), 0.035)).astype(np.float32)
        self._brows = BrowPainter(maps, self._marks)
        self._skin_marks = SkinMarks(maps, self._marks)
        self._soft_throat = step((-0.075 - y) / 0.02).astype(np.float32)

    def __call__(self, subject: Subject) -> np.ndarray:
        """(512, 512, 3) uint8 display colours of a subject's skin, with lips, brows, stubble and short hair."""
        looks, rng = subject.looks, subject.rng("skin")
        melanin, blood, shade = self._pigments(subject, rng)
        self._skin_marks.add(subject, melanin, blood, shade)
        colour = _display(melanin, blood, looks.yellow, shade)
        self._paint_lips(colour, subject)
        if looks.make_up > 0.0:
            paint_make_up(colour, subject, self._pale_lids, self._red_places["cheeks"], self._flat_marks)
        self._paint_hair(colour, subject)
        self._brows.paint(colour, subject)
        colour[self._inside] += (MOUTH_COLOUR - colour[self._inside]) * (1.0 - 0.8 * self._lips[self._inside, None])
        return cv2.convertScaleAbs(colour)

    def _pigments(self, subject: Subject, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Melanin, blood, and grey shade (512, 512) before any marks."""
        looks = subject.looks
        broad = self._noise("broad", 2, rng)
        blotch = self._noise("blotch", 2, rng)
        patch = self._noise("patch", 2, rng)
        fine = grain(rng, 0.8)
        uneven = rng.uniform(0.5, 1.5) * (0.6 + 0.6 * min(subject.age / 60.0, 1.5))
        spread = 0.012 + 0.022 * looks.melanin
        melanin = looks.melanin + spread * uneven * (0.8 * broad[0] + 0.5 * blotch[0] + 0.2 * patch[0])
        melanin += 0.25 * spread * rng.uniform(0.3, 1.2) * fine * self._pores
        tan = rng.uniform(0.0, 0.06) * (1.0 - looks.melanin)
        melanin += tan * (1.0 - self._soft_throat) * step((70.0 - self._azimuth) / 25.0)
        melanin += (0.02 + 0.06 * looks.melanin) * self._under_eyes * rng.uniform(0.0, 1.2)
        melanin += 0.05 * self._socket
        blood = looks.blood + uneven * (0.10 * broad[1] + 0.12 * blotch[1] + 0.06 * patch[1])
        for name, (low, high) in {"cheeks": (-0.1, 1.1), "nose": (0.0, 1.0), "ears": (0.0, 0.9), "chin": (0.0, 0.5),
                                  "forehead": (-0.3, 0.3)}.items():  # fmt: skip
            blood += rng.uniform(low, high) * self._red_places[name] * (1.0 + 0.25 * blotch[0])
        blood += 0.5 * self._under_eyes * rng.uniform(0.0, 1.0) - 0.3 * self._pale_lids * rng.uniform(-1.0, 1.0)
        blood += 1.6 * self._socket + 0.9 * self._fold
        shade = (0.8 + 0.64 * rng.random()) * self._fold
        shade += (0.8 + 0.7 * rng.random()) * self._seams
        shade += (2.2 + 1.8 * rng.random()) * self._nostrils
        shade += (0.05 + 0.10 * rng.random()) * self._under_eyes * rng.uniform(0.0, 1.0)
        pores = grain(rng, 0.5)
        shade += 0.02 * rng.uniform(0.5, 1.6) * pores * self._pores * (1.0 - self._lips)
        return melanin.astype(np.float32), blood.astype(np.float32), shade.astype(np.float32)

    def _paint_lips(self, colour: np.ndarray, subject: Subject) -> None:
        looks, rng = subject.looks, subject.rng("lips")
        natural_melanin = 0.75 * looks.melanin + rng.uniform(0.0, 0.05)
        redness = rng.uniform(1.8, 4.2) * (1.0 - 0.35 * looks.melanin) * (1.0 - 0.004 * max(subject.age - 40.0, 0.0))
        natural = _display(np.array(natural_melanin), np.array(looks.blood + redness), looks.yellow * 0.5, 0.0)
        stick_rng = subject.rng("lipstick")
        if looks.make_up > 0.25 and stick_rng.random() < 0.75:
            hue = np.array([[168, 34, 44], [190, 80, 90], [150, 60, 60], [120, 30, 50], [205, 110, 105]], np.float32)
            stick = hue[stick_rng.integers(len(hue))] * stick_rng.uniform(0.75, 1.1)
            natural = natural + (stick - natural) * np.float32(stick_rng.uniform(0.35, 0.9))
        texture = 1.0 + 0.06 * grain(rng, 0.7)[..., None]
        cover = (self._lips * np.float32(rng.uniform(0.7, 0.95)))[..., None]
        where = np.nonzero(cover[..., 0] > 0.01)
        colour[where] += (natural * texture[where] - colour[where]) * cover[where]

    def _paint_hair(self, colour: np.ndarray, subject: Subject) -> None:
        """Roots of the scalp's hair, and stubble: hair too short to be a part of its own."""
        looks, rng = subject.looks, subject.rng("roots")
        roots = np.array(looks.hair_colour, np.float32) * 0.8
        rough = grain(rng, 0.0)
        if looks.hair != "bald":
            line = hairline(self._azimuth, subject.receding, subject.hairline_height)
            edge = (self._height - line) / 0.006 + 0.5 * rough
            density = step(edge) * self._head * rng.uniform(0.85, 0.97)
            density *= rng.uniform(0.55, 0.85) if looks.hair == "shaved" else 1.0
            if looks.hair == "shaved":
                density *= 1.0 + 0.12 * rough
            _mix(colour, roots, density)
        if looks.beard:
            density = self.beard_density(subject)
            if looks.beard == "stubble":
                density = density * rng.uniform(0.25, 0.6)
            else:
                density = np.sqrt(density) * rng.uniform(0.7, 0.9)
            density = density * (1.0 + 0.25 * rough)
            _mix(colour, roots * 0.9, density.clip(0.0, 1.0))
        elif subject.gender < 0.5 and subject.age > 17.0:
            shadow = self._beard[0] + self._beard[1] + self._beard[2]
            share = (shadow.clip(0.0, 1.0) * rng.uniform(0.0, 0.4) * (1.0 - looks.grey))[..., None]
            colour *= 1.0 - share.astype(np.float32) * np.array([0.55, 0.48, 0.42], np.float32)

    def beard_density(self, subject: Subject) -> np.ndarray:
        """(512, 512) float32, 0 to 1: where a subject's beard grows."""
        cheeks, moustache, chin, neck = self._beard
        shares = {
            "stubble": (1.0, 1.0, 1.0, 0.6), "full": (1.0, 1.0, 1.0, 0.5), "short": (1.0, 0.9, 1.0, 0.3),
            "long": (1.0, 1.0, 1.0, 0.4), "goatee": (0.0, 1.0, 1.0, 0.0), "moustache": (0.0, 1.0, 0.0, 0.0),
            "chin strap": (0.75, 0.0, 1.0, 0.0),
        }[str(subject.looks.beard)]  # fmt: skip
        density = np.zeros_like(cheeks)
        for share, field in zip(shares, (cheeks, moustache, chin, neck), strict=True):
            np.maximum(density, share * field, out=density)
        if subject.looks.beard == "chin strap":
            density *= step((0.02 - np.abs(self._height + 0.055)) / 0.012)
        fullness = subject.rng("fullness").uniform(*FULLNESS.get(str(subject.looks.beard), (1.0, 1.0)))
        return density * (1.0 - self._lips) * np.float32(fullness)

    def _dark_seams(self) -> np.ndarray:
        """(512, 512) the lines that are dark on every face: between the lips, and where the lashes grow."""
        marks = self._flat_marks
        lines = [smooth_curve(marks[[60, 61, 62, 63, 64]], 40), smooth_curve(marks[[60, 67, 66, 65, 64]], 40)]
        for first in (36, 42):
            upper = smooth_curve(marks[[first, first + 1, first + 2, first + 3]], 40)
            lower = smooth_curve(marks[[first, first + 5, first + 4, first + 3]], 40)
            lines += [upper - (0.0, 0.5), lower + (0.0, 0.5)]
        return strokes(lines, [1.2, 1.2, 2.0, 0.9, 2.0, 0.9], [1.0, 1.0, 1.0, 0.6, 1.0, 0.6])

    def _dark_nostrils(self, place: np.ndarray, upward: np.ndarray) -> np.ndarray:
        """(512, 512) where the nose's holes are: what looks down between its wings and its bridge, on each side."""
        field = np.zeros(place.shape[:2])
        for wing, base in ((31, 32), (35, 34)):
            middle = self._marks[[wing, base]].mean(0) + NOSTRIL_RISE
            away = (place - middle) / NOSTRIL_SIZE
            field = np.maximum(field, step((1.0 - np.linalg.norm(away, axis=-1)) / 0.25))
        return (field * step((-upward - 0.62) / 0.22) * self._head).astype(np.float32)

    def _red_regions(self, place: np.ndarray, facing: np.ndarray) -> dict[str, np.ndarray]:
        cheek = np.abs(place[..., 0:1]) * (1.0, 0.0, 0.0) + place * (0.0, 1.0, 1.0)
        angle = self._azimuth
        ears = step((np.abs(angle - 97.0) - 17.0) / -4.0) * step((np.abs(place[..., 1]) - 0.035) / -0.006)
        ears = ears * step((np.abs(place[..., 0]) - 0.071) / 0.003)
        regions = {
            "cheeks": _bump(cheek, (0.036, -0.004, 0.035), 0.021),
            "nose": _bump(place, tuple(self._marks[30] + (0.0, 0.002, 0.0)), 0.014),
            "ears": ears,
            "chin": _bump(place, tuple(self._marks[8] + (0.0, 0.008, 0.006)), 0.014),
            "forehead": step((place[..., 1] - 0.06) / 0.01) * step((70.0 - angle) / 10.0),
        }
        return {name: (field * self._head).astype(np.float32) for name, field in regions.items()}

    def _around_eyes(self, place: np.ndarray, size: tuple[float, float], above: float) -> np.ndarray:
        field = np.zeros(place.shape[:2])
        for eye in (self._marks[36:42].mean(0), self._marks[42:48].mean(0)):
            dx, dy = (place[..., 0] - eye[0]) / size[0], (place[..., 1] - eye[1] - above) / size[1]
            field = np.maximum(field, np.exp(-(dx**4) - dy**2))
        return (field * (place[..., 2] > 0.0)).astype(np.float32)


def _bump(place: np.ndarray, centre: tuple[float, ...], radius: float) -> np.ndarray:
    return np.exp(-((place - np.array(centre)) ** 2).sum(-1) / radius**2)


def _display(melanin: np.ndarray, blood: np.ndarray, yellow: float, shade: np.ndarray | float) -> np.ndarray:
    """(..., 3) float32 display colours, 0 to 255."""
    absorbed = np.asarray(melanin, np.float32)[..., None] * MELANIN_ABSORBS
    absorbed += np.asarray(blood, np.float32)[..., None] * BLOOD_ABSORBS
    absorbed += np.asarray(shade, np.float32)[..., None]
    return np.exp((BARE - np.float32(yellow) * YELLOW_ABSORBS - absorbed) / np.float32(GAMMA)) * np.float32(255.0)


def _mix(colour: np.ndarray, above: np.ndarray, share: np.ndarray) -> None:
    where = np.nonzero(share > 0.004)
    colour[where] += (above - colour[where]) * share[where][:, None].astype(np.float32)

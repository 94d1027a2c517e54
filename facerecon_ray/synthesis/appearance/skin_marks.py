"""Marks of age and life in the skin: wrinkles, freckles, moles, age spots, spots of acne, scars."""

import numpy as np

from facerecon_ray.synthesis.appearance.atlas_drawing import grain, smooth_curve, speckles, strokes
from facerecon_ray.synthesis.people.head_geometry import ISLANDS, AtlasMaps
from facerecon_ray.synthesis.people.head_places import azimuth, step
from facerecon_ray.synthesis.people.person import Subject


class SkinMarks:
    """Knows where marks may be: added to the pigment fields of `SkinPainter`."""

    def __init__(self, maps: AtlasMaps, landmarks: np.ndarray) -> None:
        self._maps, self._marks = maps, landmarks
        place = maps.place
        x, y = np.abs(place[..., 0]), place[..., 1]
        head = maps.island == ISLANDS.index("head")
        face = head * step((95.0 - azimuth(place)) / 8.0)
        mouth = landmarks[60:68].mean(0)
        lips = np.exp(-((x / 0.03) ** 4) - ((y - mouth[1]) / 0.014) ** 4)
        self._skin = (face * (1.0 - lips)).astype(np.float32)
        self._freckle = (self._skin * np.exp(-(((y - 0.005) / 0.035) ** 2))).astype(np.float32)
        self._creases = self._crease_curves()

    def add(self, subject: Subject, melanin: np.ndarray, blood: np.ndarray, shade: np.ndarray) -> None:
        """Add a subject's marks to fields (512, 512), in place."""
        rng, age = subject.rng("marks"), subject.age
        self._add_wrinkles(subject, blood, shade)
        fair = 1.0 - subject.looks.melanin
        if rng.random() < 0.3 * fair:
            freckles = speckles(int(rng.uniform(100, 900)), (0.5, 1.3), self._freckle, rng)
            melanin += freckles * rng.uniform(0.04, 0.16)
        moles = speckles(int(rng.integers(0, 26)), (0.7, 1.8), self._skin, rng)
        melanin += moles * rng.uniform(0.2, 0.5)
        if age > 45.0:
            spots = speckles(int((age - 40.0) * rng.uniform(0.5, 4.0)), (1.2, 5.0), self._skin, rng)
            melanin += spots * rng.uniform(0.02, 0.12)
        if rng.random() < (0.45 if age < 30.0 else 0.2):
            pimples = speckles(int(rng.integers(3, 60)), (1.0, 2.5), self._skin, rng)
            blood += pimples * rng.uniform(0.5, 2.0)
        if age > 40.0 and rng.random() < 0.5:
            veins = grain(rng, 1.2)
            blood += (np.maximum(veins - 0.8, 0.0) * self._freckle * rng.uniform(0.3, 1.2)).astype(np.float32)

    def _add_wrinkles(self, subject: Subject, blood: np.ndarray, shade: np.ndarray) -> None:
        rng = subject.rng("wrinkles")
        depth = np.clip((subject.age - 22.0) / 55.0, 0.0, 1.15) * rng.uniform(0.6, 1.3)
        lines: list[np.ndarray] = []
        widths: list[float] = []
        strength: list[float] = []
        for name, curves in self._creases.items():
            own = np.clip(depth * rng.uniform(0.4, 1.4) + (0.18 if name in ("nasolabial", "lid") else -0.12), 0.0, 1.0)
            for curve in curves:
                if name == "forehead" and rng.random() < 0.25:
                    continue
                wobble = np.cumsum(rng.normal(0.0, 0.10, curve.shape), 0)
                wobble -= np.linspace(0.0, 1.0, len(curve))[:, None] * wobble[-1]
                line = curve + wobble + rng.normal(0.0, 0.8, 2)
                start, stop = int(rng.uniform(0.0, 0.2) * len(line)), int(rng.uniform(0.8, 1.0) * len(line))
                pieces = np.array_split(line[start:stop], 5)
                fade = (0.35, 0.8, 1.0, 0.8, 0.35)
                for k, (piece, share) in enumerate(zip(pieces, fade, strict=True)):
                    joined = np.concatenate([piece, pieces[k + 1][:1]]) if k < 4 else piece
                    lines.append(joined)
                    widths.append(rng.uniform(0.6, 1.4))
                    strength.append(float(own * share * rng.uniform(0.7, 1.0)))
        fine = strokes(lines, widths, strength)
        below = np.roll(fine, 2, 0)
        relief = 0.55 * fine - 0.14 * below
        shade += relief
        blood += 0.5 * fine

    def _crease_curves(self) -> dict[str, list[np.ndarray]]:
        """Texels of the lines along which each kind of skin folds."""
        marks, maps = self._marks, self._maps
        mirror = np.array([-1.0, 1.0, 1.0])
        brow = marks[17:27].mean(0)
        names = ("forehead", "crow", "nasolabial", "bag", "glabella", "marionette", "neck", "lid")
        curves: dict[str, list[np.ndarray]] = {name: [] for name in names}

        def add(name: str, points: list[np.ndarray], both: bool = True) -> None:
            curve = smooth_curve(np.array(points), 40)
            for side in (curve, curve * mirror) if both else (curve,):
                texels = maps.texels_of(side).astype(np.float64)
                padded = np.pad(texels, ((3, 3), (0, 0)), "edge")
                curves[name].append(np.stack([np.convolve(padded[:, k], np.ones(7) / 7, "valid") for k in (0, 1)], 1))

        for height in (0.014, 0.021, 0.028, 0.036):
            xs = np.linspace(-0.043, 0.043, 9)
            points = [np.array([x, brow[1] + height - 4.0 * x * x + 0.0015 * np.cos(90.0 * x), 0.04]) for x in xs]
            add("forehead", points, both=False)
        outer = marks[45]
        for slope in (-0.55, -0.2, 0.1, 0.45):
            add("crow", [outer + (0.004 + t, slope * t, -0.6 * t) for t in (0.0, 0.006, 0.012, 0.018)])
        wing, corner = marks[35], marks[54]
        fold = [
            wing + (0.006, 0.006, -0.004), wing + (0.014, -0.006, -0.004),
            corner + (0.012, 0.012, -0.002), corner + (0.014, -0.002, -0.004),
        ]  # fmt: skip
        add("nasolabial", fold)
        add(
            "marionette",
            [corner + (0.004, -0.004, -0.001), corner + (0.007, -0.013, -0.002), corner + (0.007, -0.024, -0.004)],
        )
        inner, below = marks[42], marks[46:48].mean(0)
        for drop in (0.007, 0.012):
            add(
                "bag",
                [
                    inner + (0.002, -0.004, 0.0),
                    below + (-0.004, -drop, 0.0),
                    below + (0.008, -drop, 0.0),
                    outer + (0.001, -0.007, 0.0),
                ],
            )
        add(
            "lid",
            [inner + (0.002, 0.004, 0.002), marks[43:45].mean(0) + (0.0, 0.0055, 0.002), outer + (0.004, 0.003, 0.0)],
        )
        add(
            "glabella",
            [marks[27] + (0.006, 0.006, 0.0), marks[27] + (0.0065, 0.014, 0.0), marks[27] + (0.008, 0.022, 0.0)],
        )
        for drop in (0.016, 0.028):
            add(
                "neck",
                [np.array([x, marks[8][1] - drop, 0.01 - 8.0 * x * x]) for x in np.linspace(-0.035, 0.035, 7)],
                both=False,
            )
        return curves

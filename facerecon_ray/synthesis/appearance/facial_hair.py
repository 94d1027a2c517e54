"""Beards, moustaches and eyelashes: layers of strands over the skin, and fringes along the lids."""

import cv2
import numpy as np

from facerecon_ray.synthesis.people.head_geometry import TEXTURE_SIZE, HeadGeometry
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.rendering.head_scene import Part

LENGTHS = {
    "stubble": (0.0008, 0.0016), "short": (0.003, 0.006), "full": (0.006, 0.014), "long": (0.014, 0.028),
    "goatee": (0.004, 0.010), "moustache": (0.003, 0.006), "chin strap": (0.002, 0.005),
}  # fmt: skip
"""Range of the layers' height over the skin in metres."""

SPARSE = 3.0
"""How fast layers open where a beard grows thinner, in sizes of the strands' field per unit of density."""

STILL_DARK = 0.55
"""How much darker than the scalp's grey hair a grey beard's other strands are: beards grizzle."""

LASH_SHARE = {"upper": 0.0085, "lower": 0.0028}
"""Length of lashes in metres."""

LASH_ROOT = 0.001
"""Metres from the rim of the lid's skin, which lies on the eyeball, to the edge from which lashes grow."""

LASH_RISE = {"upper": 0.33, "lower": -0.27}
"""How far lashes turn up, per unit outwards."""

LASH_DROP = 1.0
"""How much further down the upper lid's lashes turn when the eye is closed."""

CLOSED, OPEN = 0.0, 0.08
"""Median height between the rims of a closed eye's lids and of an eye from which lashes rise, per width of the eye."""


class FacialHairMaker:
    """Builds beards and lashes over the skin of `HeadGeometry`."""

    def __init__(self, geometry: HeadGeometry) -> None:
        self._geometry = geometry
        uv = (geometry.skin.uv * TEXTURE_SIZE).astype(int).clip(0, TEXTURE_SIZE - 1)
        self._texel = uv[:, 1], uv[:, 0]
        self._lids = [_lid_rims(geometry, cap.rim) for cap in geometry.topology.caps[:2]]

    def beard(self, subject: Subject, density: np.ndarray, normals: np.ndarray) -> list[Part]:
        """Layers of a subject's beard.

        Parameters
        ----------
        subject : who has a beard
        density : (512, 512) where it grows, 0 to 1
        normals : (V, 3) of anny's vertices
        """
        kind = str(subject.looks.beard)
        rng, skin = subject.rng("beard"), self._geometry.skin
        length = rng.uniform(*LENGTHS[kind])
        share = density[self._texel]
        triangles = skin.triangles[(share[skin.triangles] > 0.03).any(1)]
        if kind == "stubble" or not len(triangles):
            return []
        used = np.unique(triangles)
        renumber = np.zeros(len(share), np.int64)
        renumber[used] = np.arange(len(used))
        low = np.floor(skin.uv[used].min(0) * TEXTURE_SIZE).astype(int).clip(0)
        high = np.ceil(skin.uv[used].max(0) * TEXTURE_SIZE).astype(int).clip(1, TEXTURE_SIZE)
        window = slice(low[1], high[1]), slice(low[0], high[0])
        uv = ((skin.uv[used] * TEXTURE_SIZE - low) / (high - low)).astype(np.float32)
        noise = cv2.GaussianBlur(
            rng.standard_normal((TEXTURE_SIZE, TEXTURE_SIZE), np.float32), (0, 0), 0.7, sigmaY=2.2
        )
        field = noise[window] / noise.std()
        grown = density[window]
        darker = (1.0 - STILL_DARK * subject.looks.grey) * rng.uniform(0.6, 0.95)
        colour = np.array(subject.looks.hair_colour, np.float32) * np.float32(darker)
        grey = (field < subject.looks.grey * 1.5 - 1.4).astype(np.float32)[..., None] * np.float32(0.5)
        body = (colour + (185.0 - colour) * grey) * (1.0 + 0.25 * field[..., None]).clip(0.4, 1.8)
        skin_points, outward = subject.vertices[skin.source[used]], normals[skin.source[used]]
        lower = np.clip(-self._geometry.average[skin.source[used], 1] / 0.055, 0.15, 1.0)
        root = (share[used] * lower**2)[:, None]
        sag = np.array([0.0, -0.45, 0.05], np.float32) * length
        parts = []
        for height, gap, light in ((0.45, -0.9, 0.8), (0.75, -0.35, 0.95), (1.0, 0.25, 1.0)):
            alpha = np.where(field > gap + SPARSE * (0.5 - grown), 255, 0) * (grown > 0.12)
            texture = np.dstack([cv2.convertScaleAbs(body * np.float32(light)), alpha.astype(np.uint8)])
            offset = (outward * length + sag * height) * np.sqrt(root.clip(0.0, 1.0)) * height
            parts.append(
                Part(
                    (skin_points + offset).astype(np.float32),
                    renumber[triangles],
                    uv,
                    np.ascontiguousarray(texture),
                    outward,
                    openness=np.full(len(used), 0.6 + 0.4 * height, np.float32),
                    gloss=0.3,
                    translucency=0.2,
                    name="beard",
                )
            )
        return parts

    def lashes(self, subject: Subject) -> list[Part]:
        """Fringes of lashes along both lids of both eyes."""
        rng = subject.rng("lashes")
        made = subject.looks.make_up
        long = rng.uniform(0.7, 1.1) * (1.0 + 0.4 * made) * (0.8 if subject.gender < 0.5 else 1.0)
        texture = _lash_texture(rng, 0.55 + 0.3 * made)
        parts = []
        for (upper, lower), cap in zip(self._lids, self._geometry.topology.caps[:2], strict=True):
            middle = subject.vertices[cap.eyeball].mean(0)
            closed = _closed(subject.vertices[upper], subject.vertices[lower])
            for lid, rim in (("upper", upper), ("lower", lower)):
                base = subject.vertices[rim]
                out = base - middle
                out = out / np.linalg.norm(out, axis=1, keepdims=True)
                side = np.array([np.sign(middle[0]), 0.0, 0.0]) * np.linspace(-0.1, 0.45, len(rim))[:, None]
                rise = LASH_RISE[lid] - (LASH_DROP * closed if lid == "upper" else 0.0)
                flow = out + np.array([0.0, rise, 0.6]) + side
                flow = flow / np.linalg.norm(flow, axis=1, keepdims=True)
                fade = np.interp(np.linspace(0.0, 1.0, len(rim)), (0.0, 0.3, 0.85, 1.0), (0.3, 0.85, 1.0, 0.7))
                root = base + LASH_ROOT * out
                tip = root + flow * (fade * LASH_SHARE[lid] * long)[:, None]
                vertices = np.concatenate([root, tip]).astype(np.float32)
                parts.append(_strip(vertices, texture))
        return parts


def _closed(upper: np.ndarray, lower: np.ndarray) -> float:
    """How far an eye is closed, 0 to 1, by the rims (R, 3) of its lids."""
    width = np.linalg.norm(upper[0] - upper[-1])
    gap = (np.median(upper[:, 1]) - np.median(lower[:, 1])) / width
    return float(np.interp(gap, (CLOSED, OPEN), (1.0, 0.0)))


def _strip(vertices: np.ndarray, texture: np.ndarray) -> Part:
    count = len(vertices) // 2
    left = np.arange(count - 1)
    triangles = np.concatenate(
        [np.stack([left, left + count, left + 1], 1), np.stack([left + 1, left + count, left + count + 1], 1)]
    )
    u = np.tile(np.linspace(0.0, 1.0, count), 2)
    uv = np.stack([u, np.repeat([1.0, 0.0], count)], 1).astype(np.float32)
    return Part(vertices, triangles, uv, texture, two_sided=True, casts=False, name="lashes")


def _lash_texture(rng: np.random.Generator, density: float) -> np.ndarray:
    """(32, 128, 4) uint8: lashes that stand on the lower border, thinner towards their tips."""
    alpha = np.zeros((32 * 4, 128 * 4), np.uint8)
    count = int(95 * density)
    for x in np.linspace(4.0, 508.0, count) + rng.normal(0.0, 3.0, count):
        length, lean = rng.uniform(0.55, 1.0) * 126.0, rng.normal(0.0, 8.0)
        points = np.array([[x - 4.5, 128.0], [x + 4.5, 128.0], [x + lean, 128.0 - length]])
        cv2.fillPoly(alpha, [np.round(points).astype(np.int32)], 255)
    alpha[-14:] = 255
    small = cv2.convertScaleAbs(cv2.resize(alpha, (128, 32), interpolation=cv2.INTER_AREA), alpha=1.7)
    return np.dstack([np.full((32, 128, 3), (26, 19, 16), np.uint8), small])


def _lid_rims(geometry: HeadGeometry, rim: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The eye's rim cut at its corners: vertices of the upper and the lower lid, from the nose outward."""
    places = geometry.average[rim]
    inner, outer = np.abs(places[:, 0]).argmin(), np.abs(places[:, 0]).argmax()
    ring = np.roll(rim, -inner)
    cut = (outer - inner) % len(rim)
    one, other = ring[: cut + 1], np.concatenate([ring[cut:], ring[:1]])[::-1]
    upper_first = geometry.average[one, 1].mean() > geometry.average[other, 1].mean()
    return (one, other) if upper_first else (other, one)

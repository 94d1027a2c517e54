"""Colours for skin textures from photos: greyscale ones get human skin's, coloured ones another tone of their own."""

from dataclasses import dataclass

import cv2
import numpy as np

from facerecon_ray.geometry.face_model import REGIONS
from facerecon_ray.synthesis.portraits.photo_texture import GAMMA, LUMINANCE, RelativeTexture
from facerecon_ray.synthesis.portraits.skin_layout import SkinLayout

TONES = np.array(
    [(238, 206, 192), (226, 184, 162), (202, 154, 126), (166, 116, 88), (122, 82, 62), (78, 54, 44)], float
)
"""Display colours of skin from no melanin to the most, evenly spaced in melanin; fitted by eye."""

BLOOD = np.array([0.02, 0.20, 0.15])
"""How strongly more blood than usual absorbs linear red, green and blue (natural logarithm)."""

BLOOD_RANGE = (-0.8, 0.8)

SHADOW_COLOURS = np.array([0.85, 1.04, 1.14])
"""Exponents by which brightness becomes red, green and blue: darker skin is redder."""

HAIR = (0.15, 0.40)
"""Relative reflectance below which a texel is hair or a hollow, and above which it is skin."""

CONTRAST = ((0.06, 0.8), (0.35, 1.0))
"""Luminance of a skin tone and the exponent that its texture gets: hair stands out less from dark skin."""

LIP_TINT = np.array([1.16, 0.86, 0.90])
INSIDE = np.array([0.62, 0.30, 0.30])
"""Colour of lips' and lids' insides relative to the skin's."""

FLUSHED = (((0.036, -0.006), 0.018), ((-0.036, -0.006), 0.018), ((0.0, 0.004), 0.012), ((0.0, -0.072), 0.014))
"""Places (x, y) on the mean face in metres that flush, and how far: cheeks, nose, chin."""

LIKE_PHOTO = 0.5
"""Share of greyscale photos that get a tone about as dark as they are; the others get any."""

CHROMA_LIMITS = (0.8, 1.3)
"""How far a coloured texel's channels may lie from its luminance, relative to the photo's skin."""

LASH_REACH, LASH_DARKNESS = 0.0011, 0.5
"""Metres around the eye's opening that lashes darken, and by how much at most."""

FULL_SCALE = 4.0
"""Relative reflectance that is stored as 255."""

LEVELS = np.arange(256) / 255.0


def skin_tone(melanin: float, blood: float) -> np.ndarray:
    """(3,) linear colour of skin, 0 to 1.

    Parameters
    ----------
    melanin : 0 none to 1 the most
    blood : about -1 pale, 0 usual, 1 flushed
    """
    place = np.linspace(0.0, 1.0, len(TONES))
    display = np.array([np.interp(melanin, place, channel) for channel in TONES.T]) / 255.0
    return np.asarray(display**GAMMA * np.exp(-blood * BLOOD))


def encode_reflectance(reflectance: np.ndarray) -> np.ndarray:
    """Relative reflectance as uint8, finer in the dark."""
    return np.asarray(np.round(255.0 * (reflectance / FULL_SCALE).clip(0.0, 1.0) ** (1.0 / GAMMA)), np.uint8)


@dataclass(frozen=True, eq=False)
class StoredTexture:
    """A skin texture from a photo as a library keeps it.

    reflectance  (512, 512, 3) uint8, see `encode_reflectance`; for a colourless photo all channels are equal
    known        (512, 512) uint8, 255 where the photo shows the skin
    tone         (3,) linear colour of the photo's skin
    coloured     false where the photo is greyscale or toned
    """

    reflectance: np.ndarray
    known: np.ndarray
    tone: np.ndarray
    coloured: bool

    @staticmethod
    def of(texture: RelativeTexture) -> "StoredTexture":
        """Round a texture to 8 bits."""
        reflectance = texture.reflectance
        if texture.coloured:
            reflectance = reflectance / (texture.tone / (texture.tone @ LUMINANCE))
            luminance = (reflectance @ LUMINANCE)[..., None].clip(1e-4)
            reflectance = (reflectance / luminance).clip(*CHROMA_LIMITS) * luminance
        else:
            reflectance = np.repeat((reflectance @ LUMINANCE)[..., None], 3, axis=2)
        known = np.round(texture.known * 255.0).astype(np.uint8)
        return StoredTexture(encode_reflectance(reflectance), known, texture.tone, texture.coloured)


class SkinColouring:
    """Gives stored textures colours.

    Parameters
    ----------
    layout : of the skin's atlas
    """

    def __init__(self, layout: SkinLayout) -> None:
        lips = layout.picture((layout.region == REGIONS.index("lips"))[:, None].astype(np.float32))
        x, y, z = layout.place.T
        flush = sum(np.exp(-(((x - px) ** 2 + (y - py) ** 2) / reach**2)) for (px, py), reach in FLUSHED)
        self._lips = cv2.GaussianBlur(lips[..., 0], (0, 0), 1.5)[..., None]
        self._flush = layout.picture((np.minimum(flush, 1.0) * (z > -0.02))[:, None].astype(np.float32))
        lashes = layout.picture(np.exp(-((layout.to_eye / LASH_REACH) ** 2))[:, None])
        self._lashes = 1.0 - LASH_DARKNESS * lashes
        self._inside = (layout.covered & ~layout.shown).numpy()
        self._nearest = layout.nearest
        cheeks = (np.abs(np.abs(x) - 0.038) < 0.014) & (np.abs(y) < 0.014) & (z > 0.0)
        forehead = (np.abs(x) < 0.03) & (np.abs(y - 0.068) < 0.004) & (z > 0.0)
        self._plain = layout.picture((cheeks | forehead)[:, None])[..., 0] > 0.0

    def tone_of(self, skin: np.ndarray) -> np.ndarray:
        """(3,) linear colour of the plain skin, cheeks and forehead, of a texture (512, 512, 3) uint8."""
        return np.asarray(np.median(skin[self._plain].astype(np.float32) / 255.0, axis=0) ** GAMMA)

    def __call__(self, texture: StoredTexture, rng: np.random.Generator, tone: np.ndarray | None = None) -> np.ndarray:
        """Colour a texture.

        Parameters
        ----------
        texture : from a library
        rng : decides the tone, lips, flush, and the tint of hair
        tone : (3,) linear colour of the skin, 0 to 1, or None for a random one

        Returns
        -------
        (512, 512, 3) uint8 display RGB; beyond the skin its nearest colour goes on
        """
        drawn = _random_tone(texture, rng)
        tone = drawn if tone is None else np.asarray(tone, float)
        display_tone = tone ** (1.0 / GAMMA)
        hair = np.array([rng.uniform(0.95, 1.35), 1.0, rng.uniform(0.6, 1.0)])
        level = _levels(tone)
        if texture.coloured:
            picture = (level ** (1.0 / GAMMA)).astype(np.float32)[texture.reflectance] * (255.0 * display_tone)
        else:
            picture = _grey_ramp(level[:, None], tone, hair / (hair @ LUMINANCE))[texture.reflectance[..., 0]]
        lip_strength = rng.uniform(0.3, 1.1) * (0.2 if texture.coloured else 1.0)
        flush_strength = rng.uniform(0.0, 0.5) * (0.3 if texture.coloured else 1.0)
        picture = picture * (1.0 + self._lips * (lip_strength * (LIP_TINT ** (1.0 / GAMMA) - 1.0)))
        picture = picture * (1.0 + self._flush * (flush_strength * np.array([0.06, -0.05, -0.04])))
        picture = picture * self._lashes
        picture[self._inside] = 255.0 * (tone * INSIDE) ** (1.0 / GAMMA)
        rounded = picture.clip(0.0, 255.0).astype(np.uint8)
        return np.asarray(rounded.reshape(-1, 3)[self._nearest])


def _levels(tone: np.ndarray) -> np.ndarray:
    """(256,) relative reflectance of stored values on skin of a tone."""
    (dark, weak), (light, full) = CONTRAST
    exponent = np.interp(tone @ LUMINANCE, (dark, light), (weak, full))
    return np.asarray((FULL_SCALE * LEVELS**GAMMA) ** exponent)


def _grey_ramp(level: np.ndarray, tone: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """(256, 3) float32 display colours for brightness (256, 1): skin with redder shadows, turning into hair."""
    skin = tone * level**SHADOW_COLOURS
    skin = skin * ((tone @ LUMINANCE) * level / (skin @ LUMINANCE)[:, None].clip(1e-6))
    dark = (tone @ LUMINANCE) * level * hair
    share = ((level - HAIR[0]) / (HAIR[1] - HAIR[0])).clip(0.0, 1.0)
    return np.asarray(255.0 * (dark + (skin - dark) * share).clip(0.0, 1.0) ** (1.0 / GAMMA), np.float32)


def _random_tone(texture: StoredTexture, rng: np.random.Generator) -> np.ndarray:
    """A random human tone for a greyscale photo, half of them about as dark; a shifted own one else."""
    melanin, blood, nearness = rng.uniform(0.0, 1.0), rng.uniform(*BLOOD_RANGE), rng.normal(0.0, 0.12)
    own = _melanin_of(float(texture.tone @ LUMINANCE))
    if not texture.coloured:
        like_photo = rng.random() < LIKE_PHOTO
        return skin_tone(float(np.clip(own + nearness, 0.0, 1.0)) if like_photo else melanin, blood)
    like = 0.5 * texture.tone + 0.5 * skin_tone(own, 0.0)
    return np.asarray(like * skin_tone(float(np.clip(own + nearness, 0.0, 1.0)), 0.5 * blood) / skin_tone(own, 0.0))


def _melanin_of(luminance: float) -> float:
    """Melanin of skin that is as bright in a well exposed photo."""
    levels = np.linspace(0.0, 1.0, 101)
    brightness = [float(skin_tone(level, 0.0) @ LUMINANCE) for level in levels]
    return float(np.interp(-luminance, np.negative(brightness), levels))

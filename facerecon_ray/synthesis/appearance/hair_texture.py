"""Textures of hair and beards: strands that run down the texture, curls, and the gaps between them."""

import cv2
import numpy as np

WIDTH, HEIGHT = 512, 256


def strands(
    colour: tuple[float, float, float], grey: float, curl: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Colours of hair, and a field that tells strand from gap.

    Parameters
    ----------
    colour : display red, green and blue of the hair
    grey : share of grey hairs
    curl : 0 straight to 1 frizzy
    rng : decides

    Returns
    -------
    (256, 512, 3) float32 display colours, (256, 512) float32 of mean 0 and unit size: high on strands
    """
    field = _field(curl, rng)
    tint = _blur(rng.standard_normal((HEIGHT, WIDTH), np.float32), 0.5, 24.0 * (1.0 - curl) + 2.0)
    base = np.array(colour, np.float32)
    down = np.linspace(0.0, 1.0, HEIGHT, dtype=np.float32)[:, None]
    light = 1.0 + rng.uniform(0.09, 0.17) * field + rng.uniform(0.0, 0.35) * (down - 0.5)
    picture = base * light.clip(0.35, 2.0)[..., None]
    picture = picture + (8.0 + 0.06 * base) * (tint.clip(-1.5, 1.5) * rng.uniform(0.2, 0.9))[..., None]
    if 0.02 < grey < 0.98:
        own_grey = (tint > np.quantile(tint[::8, ::8], 1.0 - 0.5 * grey)).astype(np.float32) * 0.45
        picture = picture + (178.0 - picture) * own_grey[..., None]
    return picture.clip(4.0, 250.0).astype(np.float32), field


def cut_ends(field: np.ndarray, ragged: float, gaps: float, bottom: float = 1.0) -> np.ndarray:
    """(256, 512) uint8 alpha: strands end at different lengths, and gaps open between them towards the ends.

    Parameters
    ----------
    field : of `strands`
    ragged : share of the length over which strands end
    gaps : 0 closed, 1 half open everywhere
    bottom : share of the texture's height at which the longest strands end
    """
    down = np.linspace(0.0, 1.0, HEIGHT, dtype=np.float32)[:, None]
    ends = bottom * (1.0 - ragged * (0.5 - 0.35 * field).clip(0.0, 1.0))
    opened = field < (-2.2 + 2.2 * gaps)
    return np.where((down < ends) & ~opened, 255, 0).astype(np.uint8)


def _field(curl: float, rng: np.random.Generator) -> np.ndarray:
    """Noise that wraps around in u: long streaks for straight hair, blobs of curls for curly hair."""
    noise = rng.standard_normal((HEIGHT, WIDTH), np.float32)
    if curl < 0.6:
        wave = int(8 + 30 * curl)
        length = 28.0 * (1.0 - curl) + 3.0
        fine = _blur(noise, 0.6, length)
        wide = _blur(rng.standard_normal((HEIGHT, WIDTH), np.float32), 2.4, 1.6 * length)
        field = 0.75 * fine + 0.4 * wide
        if curl > 0.05:
            rows = np.arange(HEIGHT, dtype=np.float32)[:, None]
            shift = wave * 0.35 * np.sin(rows * (0.05 + 0.10 * curl) + rng.uniform(0.0, 6.0))
            columns = np.arange(WIDTH, dtype=np.float32)[None] + shift
            field = cv2.remap(
                field, columns % WIDTH, np.broadcast_to(rows, field.shape).astype(np.float32), cv2.INTER_LINEAR
            )
        return (field / field.std()).astype(np.float32)
    small = _blur(noise, 1.1, 1.3)
    large = _blur(rng.standard_normal((HEIGHT, WIDTH), np.float32), 3.6, 4.2)
    field = small + 0.9 * large - 0.35 * np.abs(large)
    return ((field - field.mean()) / field.std()).astype(np.float32)


def _blur(noise: np.ndarray, across: float, along: float) -> np.ndarray:
    margin = int(4 * across) + 2
    padded = np.concatenate([noise[:, -margin:], noise, noise[:, :margin]], 1)
    smooth = cv2.GaussianBlur(padded, (0, 0), sigmaX=across, sigmaY=along)[:, margin:-margin]
    return np.asarray(smooth / smooth.std(), np.float32)

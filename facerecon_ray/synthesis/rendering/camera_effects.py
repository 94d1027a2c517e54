"""What a camera does to light: exposure, white balance, lens blur, noise, tone curve, low resolution, JPEG.

All is drawn beforehand into one set of numbers, so that a photo can be taken again, and another view of the same
scene with the same camera. Noise is added to linear light, shot noise growing with the square root of the signal (Foi
et al., Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data, 2008).
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from facerecon_ray.config.synthesis import CameraSettings

REFERENCE_SIZE = 320
TABLE_SIZE = 4096
HEADROOM = 4.0
"""Linear light that the tone curve's table covers; white is 1."""

MIDDLE_GREY, KNEE = 0.2, 0.55
"""Linear light of a middle grey, and from which on the tone curve rolls off."""

SEPIA = np.array([1.07, 0.97, 0.80], np.float32)
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class CameraEffects:
    """One camera's ways.

    exposure       factor on linear light
    skin_share     how far dark and light skin are exposed alike, 0 to 1
    balance        factors on red, green and blue
    contrast       steepness of the tone curve in the middle tones
    saturation     strength of colours, 0 is grey
    sepia          tinted brown
    vignette       loss of light in the corners, 0 to 1
    defocus        standard deviation of the blur, pixels of a photo of 320 pixels
    motion         length of the shake in the same unit, and its direction in degrees
    resolution     share of the resolution that is left, 1 for all
    noise          standard deviation at middle grey, as a share of white
    jpeg_quality   0 for none
    seed           of the noise
    """

    exposure: float = 1.0
    skin_share: float = 0.5
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    saturation: float = 1.0
    sepia: bool = False
    vignette: float = 0.0
    defocus: float = 0.0
    motion: tuple[float, float] = (0.0, 0.0)
    resolution: float = 1.0
    noise: float = 0.0
    jpeg_quality: int = 0
    seed: int = 0

    def without_losses(self) -> "CameraEffects":
        """The same colours and the same lens, with no noise, JPEG or loss of resolution."""
        return replace(self, noise=0.0, jpeg_quality=0, resolution=1.0)


def sample_effects(settings: CameraSettings, rng: np.random.Generator) -> CameraEffects:
    """Draw a camera."""
    warm, green = rng.normal(0.0, settings.white_balance), rng.normal(0.0, 0.3 * settings.white_balance)
    balance = np.exp([warm, green, -warm])
    grey = rng.random() < settings.grey_share
    blur = rng.random() < settings.blur_share
    shaken = blur and rng.random() < 0.35
    strength = settings.blur * rng.random()
    small = rng.random() < settings.low_resolution_share
    return CameraEffects(
        exposure=float(np.exp(rng.uniform(*np.log(settings.brightness)))),
        skin_share=settings.exposure_by_skin,
        balance=(float(balance[0]), float(balance[1]), float(balance[2])),
        contrast=float(rng.uniform(*settings.contrast)),
        saturation=float(rng.uniform(*settings.saturation)) * (not grey),
        sepia=bool(grey and rng.random() < 1 / 3),
        vignette=float(rng.uniform(0.1, 0.6)) if rng.random() < settings.vignette_share else 0.0,
        defocus=float(strength) if blur and not shaken else 0.0,
        motion=(float(3.0 * strength), float(rng.uniform(0.0, 180.0))) if shaken else (0.0, 0.0),
        resolution=float(rng.uniform(settings.low_resolution, 0.9)) if small else 1.0,
        noise=float(settings.noise * rng.random() ** 2),
        jpeg_quality=int(rng.integers(*settings.jpeg_quality)) if rng.random() < settings.jpeg_share else 0,
        seed=int(rng.integers(2**62)),
    )


def take_photo(linear: np.ndarray, effects: CameraEffects) -> np.ndarray:
    """Turn light into a photo.

    Parameters
    ----------
    linear : (S, S, 3) float32 exposed linear light, 1 is white
    effects : the camera's

    Returns
    -------
    (S, S, 3) uint8 RGB
    """
    size = len(linear)
    light = _blurred(linear, effects, size / REFERENCE_SIZE)
    if effects.resolution < 1.0:
        small = max(8, round(size * effects.resolution))
        light = cv2.resize(light, (small, small), interpolation=cv2.INTER_AREA)
    light = light * np.array(effects.balance, np.float32)
    if effects.vignette > 0.0:
        light *= _vignette(len(light), effects.vignette)[..., None]
    if effects.saturation != 1.0:
        grey = light @ LUMINANCE
        light = grey[..., None] + (light - grey[..., None]) * np.float32(effects.saturation)
    if effects.noise > 0.0:
        light = light + _noise(light, effects)
    photo = _developed(light, effects)
    if effects.resolution < 1.0:
        photo = cv2.resize(photo, (size, size), interpolation=cv2.INTER_CUBIC)
    if effects.jpeg_quality > 0:
        stored = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, effects.jpeg_quality])[1]
        photo = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR_RGB))
    return np.ascontiguousarray(photo)


def to_linear(display: np.ndarray) -> np.ndarray:
    """Linear light, float32, of display values uint8."""
    return _LINEAR[display]


def _blurred(light: np.ndarray, effects: CameraEffects, scale: float) -> np.ndarray:
    if effects.defocus > 0.0:
        light = cv2.GaussianBlur(light, (0, 0), max(0.1, effects.defocus * scale), borderType=cv2.BORDER_REPLICATE)
    length, direction = effects.motion
    if length > 0.0:
        light = cv2.filter2D(light, -1, _shake(length * scale, direction), borderType=cv2.BORDER_REPLICATE)
    return light


def _shake(length: float, direction: float) -> np.ndarray:
    """(K, K) kernel: a straight stroke through the middle, with soft ends."""
    half = int(np.ceil(length / 2)) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    angle = np.radians(direction)
    along = np.abs(x * np.cos(angle) + y * np.sin(angle))
    across = np.abs(-x * np.sin(angle) + y * np.cos(angle))
    kernel = (length / 2 + 0.5 - along).clip(0.0, 1.0) * (1.0 - across).clip(0.0)
    return kernel / kernel.sum()


def _vignette(size: int, loss: float) -> np.ndarray:
    place = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5) ** 2
    return 1.0 - np.float32(2.0 * loss) * (place[:, None] + place)


def _noise(light: np.ndarray, effects: CameraEffects) -> np.ndarray:
    """Shot noise and, at middle grey a tenth of its power, read noise; display values rise 1.1 times as fast there."""
    unit = np.random.default_rng(effects.seed).standard_normal(light.shape, dtype=np.float32)
    power = light.clip(0.0) * np.float32(0.9 / MIDDLE_GREY) + np.float32(0.1)
    return unit * np.sqrt(power) * np.float32(effects.noise / 1.1)


def _developed(light: np.ndarray, effects: CameraEffects) -> np.ndarray:
    """(H, W, 3) uint8: the tone curve, looked up by the square root of the light."""
    table = _tone_curve(HEADROOM * (np.arange(TABLE_SIZE) / (TABLE_SIZE - 1)) ** 2, effects.contrast)
    place = np.sqrt(light.clip(0.0, HEADROOM) * np.float32(1.0 / HEADROOM)) * np.float32(TABLE_SIZE - 1)
    photo = table[(place + np.float32(0.5)).astype(np.int32)]
    if effects.sepia:
        photo = photo * SEPIA
    return (photo * 255.0 + 0.5).clip(0.0, 255.0).astype(np.uint8)


def _tone_curve(linear: np.ndarray, contrast: float) -> np.ndarray:
    """Display values 0 to 1, float32: bright light rolls off, then come sRGB's curve and the contrast."""
    over = np.maximum(linear - KNEE, 0.0) / (1.0 - KNEE)
    rolled = np.minimum(linear, KNEE) + (1.0 - KNEE) * (1.0 - np.exp(-0.9 * over))
    display = np.where(rolled <= 0.0031308, 12.92 * rolled, 1.055 * rolled ** (1 / 2.4) - 0.055)
    steeper = 2.0 * display * (1.0 - display) * (2.0 * display - 1.0)
    return (display + (contrast - 1.0) * steeper).astype(np.float32)


def _srgb_to_linear() -> np.ndarray:
    display = np.arange(256) / 255.0
    return np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LINEAR = _srgb_to_linear()

"""What cameras do to a batch of pictures: `rendering.camera_effects` as tensor operations.

JPEG is done as the standard says, on the device: luminance and halved chrominance in blocks of 8 x 8, whose cosine
transform is rounded in steps that depend on the quality (ITU-T T.81, tables K.1 and K.2).
"""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.synthesis.rendering.camera_effects import (
    HEADROOM,
    KNEE,
    LUMINANCE,
    MIDDLE_GREY,
    REFERENCE_SIZE,
    SEPIA,
)

RESOLUTION_STEPS = 12
"""Resolutions that are left are so many, evenly spaced: pictures of one size are shrunk together."""

LEAST_BLUR = 0.1

_LUMINANCE_STEPS = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)
_CHROMINANCE_STEPS = "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66" + 38 * " 99"


def take_photos(light: Tensor, effects: dict[str, Tensor], scale: Tensor, random: torch.Generator) -> Tensor:
    """Turn light into photos.

    Parameters
    ----------
    light : (B, 3, S, S) float32 exposed linear light, 1 is white
    effects : of `CameraEffects`, (B,) or (B, C) each, by name
    scale : (B,) how many pixels of these pictures a pixel of a photo of 320 pixels is
    random : of the noise, on the device

    Returns
    -------
    (B, 3, S, S) float32, display values 0 to 255
    """
    light = _blurred(light, effects, scale)
    light, small = _shrunk(light, effects["resolution"])
    light = light * effects["balance"][..., None, None] * _vignette(light, effects["vignette"])
    grey = (light * light.new_tensor(LUMINANCE)[:, None, None]).sum(1, keepdim=True)
    light = grey + (light - grey) * _of_rows(effects["saturation"])
    noise = torch.randn(light.shape, generator=random, device=light.device, dtype=light.dtype)
    power = light.clamp(min=0.0) * (0.9 / MIDDLE_GREY) + 0.1
    light = light + noise * power.sqrt() * _of_rows(effects["noise"] / 1.1)
    photos = _tone_curve(light.clamp(0.0, HEADROOM), _of_rows(effects["contrast"]))
    sepia = torch.where(_of_rows(effects["sepia"]) > 0, photos.new_tensor(SEPIA)[:, None, None], 1.0)
    photos = (photos * sepia * 255.0).clamp(0.0, 255.0)
    photos = _enlarged(photos, small)
    stored = (effects["jpeg_quality"] > 0).nonzero()[:, 0]
    if len(stored):
        photos = photos.index_copy(0, stored, as_jpeg(photos[stored], effects["jpeg_quality"][stored]))
    return photos


def as_jpeg(photos: Tensor, quality: Tensor) -> Tensor:
    """Photos (B, 3, S, S), 0 to 255, after they were stored as JPEG of qualities (B,), 1 to 100."""
    size = photos.shape[-1]
    missing = -size % 16
    padded = functional.pad(photos.round(), (0, missing, 0, missing), mode="replicate")
    to_ycc = photos.new_tensor(
        [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]]
    )
    ycc = torch.einsum("ij,bjhw->bihw", to_ycc, padded)
    factor = torch.where(quality < 50, 5000.0 / quality, 200.0 - 2.0 * quality)
    y = _rounded(ycc[:, :1] - 128.0, _steps(_LUMINANCE_STEPS, photos, factor)) + 128.0
    chroma = _rounded(functional.avg_pool2d(ycc[:, 1:], 2), _steps(_CHROMINANCE_STEPS, photos, factor))
    chroma = functional.interpolate(chroma, scale_factor=2.0, mode="bilinear", align_corners=False)
    decoded = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_ycc), torch.cat([y, chroma], 1))
    return decoded[..., :size, :size].round().clamp(0.0, 255.0)


def _steps(table: str, like: Tensor, factor: Tensor) -> Tensor:
    """(B, 8, 8) steps of the coefficients, as libjpeg scales its tables."""
    base = like.new_tensor([float(number) for number in table.split()]).view(8, 8)
    return ((base * factor[:, None, None] + 50.0) / 100.0).floor().clamp(1.0, 255.0)


def _rounded(planes: Tensor, steps: Tensor) -> Tensor:
    """Planes (B, C, H, W) whose blocks' cosine transform was rounded to steps (B, 8, 8)."""
    batch, channels, height, width = planes.shape
    transform = _cosines().to(planes)
    blocks = planes.view(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    step = steps[:, None, None, None]
    coefficients = (_both_ways(blocks, transform) / step).round() * step
    blocks = _both_ways(coefficients, transform.T)
    return blocks.transpose(3, 4).reshape(batch, channels, height, width)


def _both_ways(blocks: Tensor, transform: Tensor) -> Tensor:
    """Blocks (..., 8, 8) transformed along rows and columns, as two large products instead of many small ones."""
    return functional.linear(functional.linear(blocks, transform).mT, transform).mT


@lru_cache(maxsize=1)
def _cosines() -> Tensor:
    """(8, 8) orthonormal cosine transform, frequencies by rows."""
    place = torch.arange(8, dtype=torch.float64)
    waves = torch.cos((2.0 * place + 1.0) * place[:, None] * math.pi / 16.0) * 0.5
    waves[0] /= math.sqrt(2.0)
    return waves.float()


def _of_rows(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _blurred(light: Tensor, effects: dict[str, Tensor], scale: Tensor) -> Tensor:
    """Defocus and shake of those rows that have any."""
    length = effects["motion"][:, 0] * scale
    sigma = torch.where(effects["defocus"] > 0, (effects["defocus"] * scale).clamp(min=LEAST_BLUR), 0.0)
    rows = ((length > 0) | (sigma > 0)).nonzero()[:, 0]
    if not len(rows):
        return light
    kernels = _kernels(sigma[rows], length[rows], effects["motion"][rows, 1])
    some, half = light[rows], kernels.shape[-1] // 2
    padded = functional.pad(some, (half,) * 4, mode="replicate").flatten(0, 1)[None]
    weights = kernels.repeat_interleave(light.shape[1], 0)[:, None]
    blurred = functional.conv2d(padded, weights, groups=len(weights)).view_as(some)
    return light.index_copy(0, rows, blurred)


def _kernels(sigma: Tensor, length: Tensor, direction: Tensor) -> Tensor:
    """(R, K, K) Gaussians where there is no shake, else straight strokes with soft ends; see `camera_effects`."""
    half = 1 + int(torch.maximum(3.0 * sigma, length / 2 + 0.5).max().ceil())
    along = torch.arange(-half, half + 1, device=sigma.device, dtype=sigma.dtype)
    y, x = along[:, None], along[None]
    width = sigma.clamp(min=LEAST_BLUR)[:, None, None]
    gaussian = (-(x * x + y * y) / (2.0 * width * width)).exp()
    angle = torch.deg2rad(direction)[:, None, None]
    on_line = (x * angle.cos() + y * angle.sin()).abs()
    aside = (-x * angle.sin() + y * angle.cos()).abs()
    stroke = (length[:, None, None] / 2 + 0.5 - on_line).clamp(0.0, 1.0) * (1.0 - aside).clamp(min=0.0)
    kernel = torch.where(length[:, None, None] > 0, stroke, gaussian)
    return kernel / kernel.sum((1, 2), keepdim=True)


def _shrunk(light: Tensor, resolution: Tensor) -> tuple[Tensor, list[tuple[Tensor, int]]]:
    """Pictures that have lost resolution, still at their size; and which rows became how small."""
    size, steps = light.shape[-1], (resolution * RESOLUTION_STEPS).round()
    small = []
    for step in range(1, RESOLUTION_STEPS):
        rows = (steps == step).nonzero()[:, 0]
        side = max(8, round(size * step / RESOLUTION_STEPS))
        if len(rows) and side < size:
            less = functional.interpolate(light[rows], size=[side, side], mode="area")
            light = light.index_copy(0, rows, functional.interpolate(less, size=[size, size], mode="nearest"))
            small.append((rows, side))
    return light, small


def _enlarged(photos: Tensor, small: list[tuple[Tensor, int]]) -> Tensor:
    """Photos as they look when those that are small were enlarged again."""
    size = photos.shape[-1]
    for rows, side in small:
        less = functional.interpolate(photos[rows], size=[side, side], mode="nearest")
        large = functional.interpolate(less, size=[size, size], mode="bicubic", align_corners=False)
        photos = photos.index_copy(0, rows, large.clamp(0.0, 255.0))
    return photos


def _vignette(light: Tensor, loss: Tensor) -> Tensor:
    size = light.shape[-1]
    place = ((torch.arange(size, device=light.device) + 0.5) / size - 0.5) ** 2
    return 1.0 - 2.0 * _of_rows(loss) * (place[:, None] + place)


def _tone_curve(linear: Tensor, contrast: Tensor) -> Tensor:
    """Display values 0 to 1; see `camera_effects`."""
    over = (linear - KNEE).clamp(min=0.0) / (1.0 - KNEE)
    rolled = linear.clamp(max=KNEE) + (1.0 - KNEE) * (1.0 - (-0.9 * over).exp())
    display = torch.where(rolled <= 0.0031308, 12.92 * rolled, 1.055 * rolled.clamp(min=1e-9) ** (1 / 2.4) - 0.055)
    return display + (contrast - 1.0) * 2.0 * display * (1.0 - display) * (2.0 * display - 1.0)


def photo_scale(transform_scale: Tensor, photo_size: Tensor, size: int, crop_size: int) -> Tensor:
    """(B,) pixels of a crop of some size that a pixel of a photo of 320 pixels becomes.

    Parameters
    ----------
    transform_scale : (B,) crop pixels per pixel of the photo, for a crop of `crop_size`
    photo_size : (B,) pixels
    size, crop_size : of the crops that are drawn, and of those that the transform is for
    """
    return transform_scale * photo_size / REFERENCE_SIZE * (size / crop_size)

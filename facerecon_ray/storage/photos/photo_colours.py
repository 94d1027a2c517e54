"""Pixels of every mode that PIL knows as 8-bit sRGB, through the photo's ICC profile where it has one."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from facerecon_ray.storage.photos.photo_depth import to_8_bits

BACKGROUND = (255, 255, 255)
REDUCING_GAP = 3.0

MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}
"""PIL's mode for the colour space of a profile."""

SAME = 2
"""A profile that moves no colour by more levels than this is sRGB, whatever its name."""

KEPT_TRANSFORMS = 32

Box = tuple[float, float, float, float]


def to_srgb(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    """Scale a decoded picture and bring its colours to sRGB; transparent pixels become white.

    Parameters
    ----------
    image : a picture of any mode; `image.info` holds its ICC profile, and a profile that cannot be used is ignored
    size : width and height of the result
    box : part of the picture that is scaled to it, pixels
    """
    colours, alpha = _plain(image)
    if size != colours.size:
        # PIL weights colours by their alpha when both are scaled as one picture.
        whole = colours.copy()
        if alpha is not None:
            whole.putalpha(alpha)
        whole = whole.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=REDUCING_GAP)
        alpha = whole.getchannel("A") if alpha is not None else None
        colours = whole.convert(colours.mode)
    rgb = _through_profile(colours, image.info.get("icc_profile"))
    return rgb if alpha is None else Image.composite(rgb, Image.new("RGB", rgb.size, BACKGROUND), alpha)


def _plain(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours as L, RGB, CMYK or LAB of 8 bits a value, and the alpha channel of a picture with transparent pixels."""
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(to_8_bits(np.asarray(image))), None
    if not image.has_transparency_data:
        if image.mode in ("RGB", "L", "CMYK", "LAB"):
            return image, None
        return image.convert("L" if image.mode == "1" else "RGB"), None
    grey = image.mode in ("1", "L", "LA", "La")
    if image.mode == "La":
        # PIL has no way from La to RGBA.
        image = image.convert("LA")
    whole = image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
    alpha = whole.getchannel("A")
    colours = whole.convert("L" if grey else "RGB")
    low, high = alpha.getextrema()
    # Programs that leave the channel unused write zeros; a photo of which nothing can be seen is none.
    return colours, None if high == 0 or low == 255 else alpha


def _through_profile(image: Image.Image, profile: object) -> Image.Image:
    if isinstance(profile, bytes) and profile:
        mode, transform = _transform(profile)
        if transform is not None and (image.mode == mode or (image.mode, mode) == ("L", "RGB")):
            return transform.apply(image if image.mode == mode else image.convert(mode))
    if image.mode == "LAB":
        return _build(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB").apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=KEPT_TRANSFORMS)
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """Mode that a profile is for, and the way from it to sRGB; none when it is sRGB or cannot be used."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = MODES[opened.profile.xcolor_space]
        transform = _build(opened, mode)
        if mode == "RGB":
            probe = _probe()
            moved = np.asarray(transform.apply(probe)).astype(int) - np.asarray(probe)
            if np.abs(moved).max() <= SAME:
                return mode, None
    except Exception:  # noqa: BLE001 - a damaged or foreign profile beside an intact picture; errors of every kind
        return "", None
    return mode, transform


def _build(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.ImageCmsTransform(
        profile,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


@lru_cache(maxsize=1)
def _probe() -> Image.Image:
    """Colours on a lattice, of which each channel takes 9 values."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), -1).reshape(27, 27, 3))

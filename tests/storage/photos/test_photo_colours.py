import io
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.storage.photos.photo_file import decode_photo

SETTINGS = ReadSettings()

WHITE = (0.9642, 1.0, 0.8249)
"""The profiles' white, D50, as XYZ."""

# Primaries as XYZ, adapted to D50, and the exponent of the tone curve.
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407), 2.2)
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), 2.19922)
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491), 1.8)
PATCHES = np.array([[200, 120, 90], [90, 140, 70], [128, 128, 128], [240, 220, 200], [40, 60, 120]], np.uint8)

pillow_heif.register_heif_opener()


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def profile_of(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2, of a display."""
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(content))
        body += content.ljust(-(-len(content) // 4) * 4, b"\0")
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s12x4s28x", size, b"\0" * 4, 0x02400000, b"mntr", space, b"XYZ ", b"acsp")
    return (head + fixed(*WHITE)).ljust(128, b"\0") + table + body


def curve(exponent: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(exponent * 256))


def colour_profile(red: tuple, green: tuple, blue: tuple, exponent: float) -> bytes:  # type: ignore[type-arg]
    def xyz(values: tuple[float, ...]) -> bytes:
        return b"XYZ \0\0\0\0" + fixed(*values)

    curves = {name: curve(exponent) for name in (b"rTRC", b"gTRC", b"bTRC")}
    primaries = {b"rXYZ": xyz(red), b"gXYZ": xyz(green), b"bXYZ": xyz(blue)}
    return profile_of(b"RGB ", {b"wtpt": xyz(WHITE), **primaries, **curves})


def srgb_of(values: np.ndarray, red: tuple, green: tuple, blue: tuple, exponent: float) -> np.ndarray:  # type: ignore[type-arg]
    """(..., 3) sRGB levels of levels in another RGB space (IEC 61966-2-1), clipped to those that sRGB has."""
    to_xyz = np.array([red, green, blue]).T
    to_srgb = np.array([[3.13386, -1.61687, -0.49061], [-0.97877, 1.91614, 0.03345], [0.07195, -0.22899, 1.40524]])
    linear = ((values / 255.0) ** exponent @ (to_srgb @ to_xyz).T).clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    contents = io.BytesIO()
    image.save(contents, kind, **options)
    return contents.getvalue()


def patches(mode: str = "RGB") -> Image.Image:
    """Five patches of 16 x 16 pixels side by side."""
    return Image.fromarray(PATCHES.repeat(16, 0)[None].repeat(16, 0)).convert(mode)


def colours(data: bytes) -> np.ndarray:
    """(5, 3) colours at the patches' middles."""
    return decode_photo(data, SETTINGS).pixels[8, 8::16].astype(float)


@pytest.mark.parametrize("space", [DISPLAY_P3, ADOBE_RGB, PROPHOTO], ids=["Display P3", "Adobe RGB", "ProPhoto"])
@pytest.mark.parametrize(
    ("kind", "mode", "tolerance"),
    [("PNG", "RGB", 1.5), ("PNG", "RGBA", 1.5), ("TIFF", "RGB", 1.5), ("JPEG", "RGB", 6), ("WEBP", "RGB", 9)]
    + [("HEIF", "RGB", 9), ("AVIF", "RGB", 9)],
)
def test_photos_of_other_colour_spaces_become_srgb(space: tuple, kind: str, mode: str, tolerance: float) -> None:  # type: ignore[type-arg]
    options = {} if kind in ("PNG", "TIFF") else {"quality": 98}
    found = colours(encoded(patches(mode), kind, icc_profile=colour_profile(*space), **options))
    expected = srgb_of(PATCHES, *space)
    assert np.abs(expected - PATCHES).max() > 15
    assert np.abs(found - expected).max() < tolerance


def test_palettes_and_16_bit_colours_have_profiles_too() -> None:
    expected = srgb_of(PATCHES, *ADOBE_RGB)
    profile = colour_profile(*ADOBE_RGB)
    assert np.abs(colours(encoded(patches().quantize(8), icc_profile=profile)) - expected).max() < 1.5


def test_grey_profiles_are_used() -> None:
    grey = profile_of(b"GRAY", {b"wtpt": b"XYZ \0\0\0\0" + fixed(*WHITE), b"kTRC": curve(1.0)})
    found = colours(encoded(Image.new("L", (80, 16), 64), icc_profile=grey))
    assert np.abs(found - 137).max() < 2


def test_an_rgb_profile_on_a_grey_photo_is_used() -> None:
    linear = colour_profile(*DISPLAY_P3[:3], 1.0)
    assert np.abs(colours(encoded(Image.new("L", (80, 16), 64), icc_profile=linear)) - 137).max() < 2


def test_cmyk_profiles_are_used() -> None:
    """A profile whose table says that any ink is the same grey as any other."""
    levels = np.array([50.0, 30.0, 30.0, 10.0])
    lab = [(100.0 if not any(inks) else float(levels[np.argmax(inks)])) for inks in np.ndindex(2, 2, 2, 2)]
    table = b"".join(struct.pack(">HHH", round(value * 652.8), 0x8000, 0x8000) for value in lab)
    ramp = struct.pack(">HH", 0, 65535)
    head = struct.pack(">4sIBBBx", b"mft2", 0, 4, 3, 2) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + struct.pack(">HH", 2, 2)
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(*WHITE), b"A2B0": head + ramp * 4 + table + ramp * 3}
    profile = profile_of(b"CMYK", tags)
    profile = profile[:12] + b"prtr" + profile[16:20] + b"Lab " + profile[24:]
    cyan = Image.new("CMYK", (80, 16), (255, 0, 0, 0))
    for kind in ("TIFF", "JPEG"):
        assert np.abs(colours(encoded(cyan, kind)) - (0, 255, 255)).max() < 3
        grey = colours(encoded(cyan, kind, icc_profile=profile))
        assert np.ptp(grey) < 4 and 40 < grey.mean() < 160


def test_lab_pictures_become_rgb() -> None:
    lab = ImageCms.profileToProfile(
        patches(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert np.abs(colours(encoded(lab, "TIFF")) - PATCHES).max() < 6


@pytest.mark.parametrize(
    "profile",
    [
        b"no profile at all",
        colour_profile(*ADOBE_RGB)[:200],
        colour_profile(*ADOBE_RGB).replace(b"RGB ", b"7CLR"),
        profile_of(b"RGB ", {}),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes(),
        profile_of(b"GRAY", {b"kTRC": curve(1.0)}),
    ],
    ids=["text", "cut off", "seven colours", "empty", "XYZ", "grey on colours"],
)
def test_an_unusable_profile_is_ignored(profile: bytes) -> None:
    assert np.abs(colours(encoded(patches(), icc_profile=profile)) - PATCHES).max() == 0


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.abs(colours(encoded(patches(), icc_profile=profile)) - PATCHES).max() == 0

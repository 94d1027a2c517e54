"""The focal length that a photo's EXIF states, in its own pixels.

Exif 2.32 (CIPA DC-008): FocalLengthIn35mmFilm is the focal length at which a 36 x 24 mm picture would show as much
along its diagonal; FocalLength over FocalPlaneXResolution tells it where that is missing. Both are of the picture that
the camera took: where its stated sides have another shape than the file's, the photo was cut, and nothing is known.
A photo that was cut to the same shape, or whose stated sides were changed too, cannot be told from a whole one.
"""

import math

from PIL import Image

EXIF_IFD = 0x8769
FOCAL_LENGTH, FOCAL_LENGTH_IN_35MM = 0x920A, 0xA405
PLANE_X_RESOLUTION, PLANE_RESOLUTION_UNIT = 0xA20E, 0xA210
TAKEN_WIDTH, TAKEN_HEIGHT = 0xA002, 0xA003
LENS_TAGS = (FOCAL_LENGTH, FOCAL_LENGTH_IN_35MM, PLANE_X_RESOLUTION, PLANE_RESOLUTION_UNIT, TAKEN_WIDTH, TAKEN_HEIGHT)

DIAGONAL_OF_35MM = math.hypot(36.0, 24.0)
MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""Of the units of a focal plane's resolution; inches where none is named."""

SAME_SHAPE = 0.02
"""Difference of the ratios of two pictures' sides up to which they have one shape: sides are rounded to blocks."""

LEAST, MOST = 0.2, 100.0
"""Focal lengths over the photo's diagonal that are believed: 9 mm to 4 m, in terms of 35 mm film."""


def focal_length(image: Image.Image, width: int, height: int) -> float:
    """Focal length of a photo as it is stored, pixels; 0 where it is not known.

    Parameters
    ----------
    image : opened by PIL
    width, height : of the photo in the file before it is scaled, turned upright or not, pixels
    """
    try:
        found = _stated({**image.getexif().get_ifd(EXIF_IFD)}, width, height)
    except Exception:  # noqa: BLE001 - broken metadata beside an intact picture; parsers raise errors of every kind
        return 0.0
    diagonal = math.hypot(width, height)
    return found if LEAST * diagonal <= found <= MOST * diagonal else 0.0


def lens_exif(image: Image.Image) -> Image.Exif:
    """What an image's EXIF says of its lens, as EXIF of its own."""
    exif = Image.Exif()
    try:
        known = image.getexif().get_ifd(EXIF_IFD)
    except Exception:  # noqa: BLE001 - as above
        return exif
    exif.get_ifd(EXIF_IFD).update({tag: known[tag] for tag in LENS_TAGS if tag in known})
    # PIL writes the part into a TIFF only where the whole names it.
    exif[EXIF_IFD] = 0
    return exif


def _stated(tags: dict[int, float], width: int, height: int) -> float:
    taken = float(tags.get(TAKEN_WIDTH, 0)), float(tags.get(TAKEN_HEIGHT, 0))
    known = min(taken) > 0
    if known and abs(max(taken) / min(taken) / (max(width, height) / min(width, height)) - 1) > SAME_SHAPE:
        return 0.0
    in_35mm = float(tags.get(FOCAL_LENGTH_IN_35MM, 0))
    if in_35mm > 0:
        return in_35mm / DIAGONAL_OF_35MM * math.hypot(width, height)
    # Without the sides of what was taken, the pixels of the focal plane may be others than the file's.
    if not known or not tags.get(FOCAL_LENGTH) or not tags.get(PLANE_X_RESOLUTION):
        return 0.0
    a_pixel = MILLIMETRES[int(tags.get(PLANE_RESOLUTION_UNIT, 2))] / float(tags[PLANE_X_RESOLUTION])
    return float(tags[FOCAL_LENGTH]) / a_pixel * max(width, height) / max(taken)

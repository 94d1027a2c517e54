"""Settings of what synthetic data takes from photos of people: skin textures, and whole faces turned further.

Text under a field is its documentation.
"""

from pydantic import Field

from facerecon_ray.config.settings import Settings
from facerecon_ray.config.storage import Location


class PhotoFitSettings(Settings):
    """What a photo must be like to be of use."""

    most_yaw: float = Field(default=18.0, ge=0.0, le=45.0)
    """Photos whose face is turned further than this many degrees are refused."""
    most_pitch: float = Field(default=20.0, ge=0.0, le=45.0)
    """Photos whose face looks up or down by more degrees are refused."""
    most_fit_error: float = Field(default=0.035, gt=0.0)
    """Largest mean distance of the fitted landmarks to the found ones, as a share of the face's size."""
    least_eye_distance: float = Field(default=24.0, gt=0.0)
    """Smaller faces are refused: pixels between the middles of the eyes."""
    least_sharpness: float = Field(default=0.10, ge=0.0)
    """Blurred faces are refused: contrast between neighbouring pixels over that of the whole face, at a fixed size."""


class PhotoTextureSettings(Settings):
    """Skin textures from photos."""

    share: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the subjects whose skin is from a photo, where there are photos; the others' skin is painted."""
    fit: PhotoFitSettings = PhotoFitSettings()
    most_frame_contrast: float = Field(default=0.80, gt=0.0)
    """Faces with stronger lines across the nose and below the eyes are refused: they wear glasses. Bare faces have
    0.60 to 0.80; a large number lets every face pass."""
    most_shadow: float = Field(default=0.22, ge=0.0, le=1.0)
    """Largest share of the cheeks that may lie in hard shadow."""
    most_photos: int = Field(default=4000, ge=1)
    """Of a larger collection as many photos are tried, chosen by a hash of their names."""
    cache: Location | None = None
    """Folder or s3://BUCKET/PREFIX that keeps the textures; without one, a folder for caches in the user's home."""


class ProfilingSettings(Settings):
    """Near-frontal photos turned to larger yaws."""

    fit: PhotoFitSettings = PhotoFitSettings()
    yaws: tuple[float, ...] = (15.0, 30.0, 45.0, 60.0, 75.0, 90.0)
    """Yaws in degrees to which each photo is turned, to the side that its face is turned to already; a face within
    `either_side` degrees of frontal is turned to a side at random."""
    either_side: float = Field(default=5.0, ge=0.0)
    """See `yaws`."""
    yaw_noise: float = Field(default=7.5, ge=0.0, le=15.0)
    """Largest random deviation from those yaws in degrees; none goes beyond 90."""

"""Frames of a clip as the contents of photo files."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import PhotoError, StorageError
from facerecon_ray.storage.pairs.pair_codec import pack_image
from facerecon_ray.storage.photos.opened_file import open_file

if TYPE_CHECKING:
    from facerecon_ray.storage.photos.clip_file import Clip

WHOLE = "the clip itself is no photo; its frames are rows of their own"


class ClipFrames:
    """A clip that is opened with the first frame that is asked for.

    Parameters
    ----------
    clip : path or s3:// URI
    settings : of the read stage
    s3 : how S3 is reached
    """

    def __init__(self, clip: str, settings: ReadSettings, s3: S3Settings) -> None:
        self._uri, self._settings, self._s3 = clip, settings, s3
        self._clip: Clip | None = None
        self._error: OSError | PhotoError | StorageError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._clip is not None:
            self._clip.close()

    def read(self, moment: float | None) -> bytes:
        """JPEG of what the clip shows at a moment.

        Parameters
        ----------
        moment : seconds; None for the clip as such, whose row says what is wrong with it

        Raises
        ------
        PhotoError
            when there is no such picture, or it cannot be decoded
        OSError, StorageError
            when the clip cannot be read
        """
        clip = self._opened()
        if moment is None:
            raise PhotoError(clip.moments(1.0)[1] or WHOLE)
        return pack_image(clip.picture(moment), "jpeg")

    def _opened(self) -> "Clip":
        """The clip, or the error of the first attempt again."""
        if self._error is not None:
            raise self._error
        if self._clip is None:
            # Loaded where there are clips alone: the library of decoders has 70 MB.
            from facerecon_ray.storage.photos.clip_file import Clip

            try:
                self._clip = Clip(open_file(self._uri, self._s3).file, self._settings.max_pixels)
            except (OSError, PhotoError, StorageError) as error:
                self._error = error
                raise
        return self._clip

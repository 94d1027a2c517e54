"""First stage for pairs: the bytes of both photos."""

import numpy as np

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.stages.chain import READ
from facerecon_ray.stages.read import Reader
from facerecon_ray.stages.stage import Batch
from facerecon_ray.stages.two_photos.side import with_side_errors
from facerecon_ray.storage.schema import time_column


class TwoPhotoReader:
    """Read the front and the side photo of each row; a row with one that cannot be read is "unreadable".

    Input columns   photo_uri, side_photo_uri, status, error : (B,) str; others are passed on
    Output columns  photo_bytes, side_photo_bytes : (B,) bytes; photo_sha256 of the front photo; status, error;
                    read_ms : (B,) float32
    """

    def __init__(self, settings: ReadSettings, s3: S3Settings | None = None) -> None:
        self._read = Reader(settings, s3)

    def __call__(self, batch: Batch) -> Batch:
        twice = {"photo_uri": np.concatenate([batch["photo_uri"], batch["side_photo_uri"]])}
        twice |= {name: np.tile(batch[name], 2) for name in ("status", "error")}
        both = {name: np.split(values, 2) for name, values in self._read(twice).items()}
        status, error = with_side_errors(both["status"][0], both["error"][0], both["status"][1], both["error"][1])
        spent = time_column(READ.name)
        return {
            **batch,
            "photo_bytes": both["photo_bytes"][0],
            "photo_sha256": both["photo_sha256"][0],
            "side_photo_bytes": both["photo_bytes"][1],
            spent: both[spent][0] + both[spent][1],
            "status": status,
            "error": error,
        }

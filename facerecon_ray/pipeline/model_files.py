"""Model files of jobs: by their contents, whatever their paths."""

import hashlib
from pathlib import Path

from facerecon_ray.config.assets import FACE_MODEL
from facerecon_ray.errors import AssetError
from facerecon_ray.storage.run_record import RunRecord

FACE_MODEL_ASSET = "face_model"


def checksum(setting: str, path: Path) -> str:
    """SHA-256 of a model file, as records have it.

    Raises
    ------
    AssetError
        when it cannot be read, with the setting that names it
    """
    try:
        with path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AssetError(f"setting {setting!r}: {path}: {error.strerror}") from None


def check_face_model(record: RunRecord, face_model: Path | None) -> None:
    """Refuse a face model that the job's faces were not fitted with: their coefficients mean nothing to it.

    Raises
    ------
    AssetError
        when it is another one, or cannot be read
    """
    fitted = record.assets.get(FACE_MODEL_ASSET)
    if fitted not in (None, checksum(FACE_MODEL_ASSET, face_model or FACE_MODEL)):
        raise AssetError(
            f"the faces were fitted with another face model than {face_model or 'the embedded one'}; "
            "name theirs (face_model), or reconstruct the photos again"
        )

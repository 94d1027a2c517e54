"""Layout of the output folder: what lies where, and the key under which a photo's files are stored.

OUT/meshes/<photo key>/<face index>.glb      OUT/manifest/part-*.parquet
OUT/previews/<photo key>/<face index>.png    OUT/run.json
OUT/viewer/<photo key>/<face index>.js       OUT/index.html
"""

import hashlib
import os
import re
import unicodedata
from pathlib import Path

from facerecon_ray.storage.uris import PHOTO_SUFFIXES, path_of

MESHES, PREVIEWS, VIEWER, MANIFEST = "meshes", "previews", "viewer", "manifest"
RUN_RECORD, GALLERY = "run.json", "index.html"

_MAX_NAME_BYTES = 100
_MAX_KEY_LENGTH = 400
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|~#%]')


def is_output_folder(folder: Path) -> bool:
    """Whether a folder holds the results of a job."""
    return (folder / RUN_RECORD).is_file() and (folder / MANIFEST).is_dir()


def photo_key(uri: str, root: str) -> str:
    """Relative folder for a photo's files: readable, path-safe, and different for different photos.

    A photo below the root whose names are harmless has its own relative path as key. Every other photo has its
    names cleaned and a hash of the URI behind a "~", a character that no other key contains.

    Parameters
    ----------
    uri : the photo
    root : folder that the photos of the job have in common; the same for all photos of an output folder
    """
    path = path_of(uri)
    names = path.relative_to(root).parts if path.is_relative_to(root) else path.parts
    key = "/".join(names)
    is_photo_name = path.suffix.lower() in PHOTO_SUFFIXES
    if path.is_relative_to(root) and is_photo_name and len(key) <= _MAX_KEY_LENGTH and all(map(_is_safe, names)):
        return key
    digest = hashlib.sha256(uri.encode()).hexdigest()[:20]
    return "/".join(_clean(name) for name in names[-2:]) + "~" + digest


def _is_safe(name: str) -> bool:
    return (
        0 < len(os.fsencode(name)) <= _MAX_NAME_BYTES
        and name.isprintable()
        and not _UNSAFE.search(name)
        and name[0] not in ". "
        and name[-1] not in ". "
        and unicodedata.is_normalized("NFC", name)
    )


def _clean(name: str) -> str:
    printable = "".join(character if character.isprintable() else "_" for character in name)
    cleaned = _UNSAFE.sub("_", unicodedata.normalize("NFC", printable))
    return cleaned.encode()[: _MAX_NAME_BYTES // 2].decode(errors="ignore").strip(". ") or "_"

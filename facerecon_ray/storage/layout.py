"""Layout of the outputs: what lies where, and the key under which a photo's files are stored.

Reconstruction    OUT/meshes/<photo key>/<face index>.glb      OUT/manifest/part-<shard>.parquet
                  OUT/previews/<photo key>/<face index>.jpg    OUT/plan/photos-<first shard>.parquet
                  OUT/viewer/<photo key>/<face index>.js       OUT/run.json, OUT/index.html, OUT/report.html
                  in packs, in place of meshes and previews    OUT/packs/part-<shard>-<token>.tar
People            PEOPLE/people.parquet, PEOPLE/people.json    PEOPLE/people/<person>.glb, .jpg, .js
                  PEOPLE/identities.parquet                    PEOPLE/people/part-<number>.parquet, viewer.html
                  PEOPLE/index.html
Training data     OUT/shards/part-<shard>.parquet, .json       OUT/dataset.json, OUT/preview.png
Exported meshes   TO/meshes/<photo key>/<face index>.glb       TO/exported.parquet, TO/export.json
Training          OUT/samples/step-<step>.png                  OUT/figures.json
"""

import hashlib
import os
import re
import unicodedata

from facerecon_ray.storage.uris import (
    is_archive_name,
    is_clip_name,
    is_photo_name,
    is_s3,
    is_table_name,
    path_of,
    split_fragment,
)

MESHES, PREVIEWS, VIEWER, MANIFEST, PLAN = "meshes", "previews", "viewer", "manifest", "plan"
RUN_RECORD, GALLERY, RUN_REPORT = "run.json", "index.html", "report.html"
PACKS, PIECES = "packs", "packs/pieces"
PEOPLE, PEOPLE_FILES, PEOPLE_RECORD, IDENTITIES = "people.parquet", "people", "people.json", "identities.parquet"
SHARDS, CARD, CONTACT_SHEET = "shards", "dataset.json", "preview.png"
SAMPLES, FIGURES = "samples", "figures.json"
EXPORT_RECORD, EXPORT_LIST = "export.json", "exported.parquet"

RESULTS = {
    RUN_RECORD: (MESHES, PREVIEWS, PACKS, VIEWER, MANIFEST, PLAN),
    PEOPLE_RECORD: (PEOPLE_FILES, PEOPLE, IDENTITIES),
    CARD: (SHARDS, CONTACT_SHEET),
    FIGURES: (SAMPLES,),
    EXPORT_RECORD: (MESHES, EXPORT_LIST),
}
"""What a job has written, by the file beside it that only a job writes: nothing in it is an input."""

_INSIDE = "~/"
_KINDS = (is_photo_name, is_clip_name, is_archive_name, is_table_name)
_MAX_NAME_BYTES = 100
_MAX_KEY_LENGTH = 400
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|~#%]')


def photo_key(uri: str, root: str) -> str:
    """Relative folder for a photo's files: readable, path-safe, and different for different photos.

    A photo below the root whose names are harmless has its own relative path as key. Every other photo has its
    names cleaned and a hash of the URI behind a "~", a character that no other key contains. Frames of a clip lie
    below the key of the clip, and what is in an archive or a Parquet file below that file's and a "~".

    Parameters
    ----------
    uri : the photo
    root : folder or s3:// prefix that the photos of the job have in common; the same for all photos of an output
    """
    file, fragment = split_fragment(uri)
    if is_clip_name(file) and fragment:
        return f"{photo_key(file, root)}/{fragment}"
    if fragment and is_table_name(file):
        return f"{photo_key(file, root)}{_INSIDE}{fragment}"
    if fragment:
        return f"{photo_key(file, root)}{_INSIDE}{_key(tuple(fragment.split('/')), fragment, inside=True)}"
    names, inside = _names(uri, root)
    return _key(names, uri, inside)


def _key(names: tuple[str, ...], full_name: str, inside: bool) -> str:
    """Of the parts of a name: themselves where they are harmless, else what is left of them and the full name's hash.

    Parameters
    ----------
    inside : whether the parts are the full name from the root on, so that no other photo has the same ones
    """
    key = "/".join(names)
    is_named = any(is_kind(names[-1]) for is_kind in _KINDS)
    if inside and is_named and len(key) <= _MAX_KEY_LENGTH and all(map(_is_safe, names)):
        return key
    digest = hashlib.sha256(full_name.encode()).hexdigest()[:20]
    return "/".join(_clean(name) for name in names[-2:]) + "~" + digest


def photo_files(key: str) -> tuple[str, ...]:
    """What names of a photo's files begin with in their folders, and those of all that is in a clip or an archive."""
    return f"{key}/", f"{key}{_INSIDE}"


def mesh_name(key: str, face: int, suffix: str) -> str:
    """Where the mesh of a face lies in an output, by its photo's key and the end of its format."""
    return f"{MESHES}/{key}/{face}.{suffix}"


def _names(uri: str, root: str) -> tuple[tuple[str, ...], bool]:
    """Parts of a photo's name, relative to the root where the photo lies in it, and whether it does."""
    if is_s3(uri):
        above = root.rstrip("/") + "/"
        inside = is_s3(root) and uri.startswith(above)
        return tuple((uri[len(above) :] if inside else uri[len("s3://") :]).split("/")), inside
    path = path_of(uri)
    inside = not is_s3(root) and path.is_relative_to(root)
    return (path.relative_to(root).parts if inside else path.parts) or ("",), inside


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

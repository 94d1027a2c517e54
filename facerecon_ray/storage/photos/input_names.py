"""Names of inputs and of what lists name: absolute, so that the same photo has the same name from every folder."""

from collections.abc import Iterable
from pathlib import Path

from facerecon_ray.config.settings import home_expanded
from facerecon_ray.errors import InputError, SettingsError
from facerecon_ray.storage.uris import is_s3, path_of, scheme_of, split_fragment, split_s3_uri, uri_of, with_fragment


def canonical_input(source: str) -> str:
    """Absolute path, pattern or s3:// URI of an input, so that the same input has the same name from every folder."""
    if not source.strip():
        raise InputError("the input is empty: name a photo, a folder, a pattern or a list of photos")
    if is_s3(source):
        bucket, key = split_s3_uri(source)
        return f"s3://{bucket}/{key.rstrip('/')}".rstrip("/")
    return str(_absolute(source, Path.cwd(), "input"))


def listed_photo(entry: str, listing: Path) -> str:
    """URI of a photo in a list on a disk."""
    if is_s3(entry):
        split_s3_uri(entry)
        return entry
    file, fragment = split_fragment(entry)
    return with_fragment(uri_of(_absolute(file, listing.parent, f"list {listing}:")), fragment)


def common_folder(photos: Iterable[str]) -> str:
    """Of photos the folder or the prefix that all of them lie in."""
    common: list[str] | None = None
    for photo in photos:
        file, _ = split_fragment(photo)
        folders = (file if is_s3(file) else str(path_of(file))).split("/")[:-1]
        if common is None:
            common = folders
        elif folders[: len(common)] != common:
            same = (number for number, pair in enumerate(zip(common, folders, strict=False)) if pair[0] != pair[1])
            common = common[: next(same, min(len(common), len(folders)))]
    return "/".join(common or []) or "/"


def _absolute(entry: str, base: Path, where: str) -> Path:
    """Absolute path with links resolved in its folder but not in its last name, which people recognise."""
    scheme = scheme_of(entry)
    if scheme not in (None, "file"):
        raise InputError(f"{where} {entry}: {scheme}:// is not supported; name local files or s3://bucket/key")
    try:
        path = base / home_expanded(path_of(entry))
        return path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name
    except SettingsError as error:
        raise InputError(f"{where} {error}") from None
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "links that lead in a circle"
        raise InputError(f"{where} {entry}: {reason}") from None

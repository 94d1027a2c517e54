"""Lists of photos as files: how one is opened, and which photos its entries name."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from facerecon_ray.storage.objects import ObjectStore
from facerecon_ray.storage.photos.input_names import listed_photo
from facerecon_ray.storage.uris import scheme_of


@dataclass(frozen=True)
class ListFile:
    """A list: how it is opened, and the URI of the photo that an entry of it names."""

    open: Callable[[], BinaryIO]
    locate: Callable[[str], str]


def list_on_disk(path: Path) -> ListFile:
    """A list that is a file."""
    return ListFile(lambda: path.open("rb"), lambda entry: listed_photo(entry, path))


def list_in_bucket(store: ObjectStore, uri: str, key: str) -> ListFile:
    """A list that is an object of a bucket, of which the store is the whole."""
    above = uri.rpartition("/")[0]

    def locate(entry: str) -> str:
        return entry if scheme_of(entry) or entry.startswith("/") else f"{above}/{entry}"

    return ListFile(lambda: io.BytesIO(store.read(key)), locate)

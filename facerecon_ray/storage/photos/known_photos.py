"""Which photos were seen before, in 16 bytes each."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from facerecon_ray.errors import InputError

_DIGEST_BYTES = 16


class Span(NamedTuple):
    """Where in an archive a photo lies, or for a row of a Parquet file, which has no such place, only of which one.

    start, size  bytes; of a row 0
    version      of the archive or the Parquet file, which changes with its contents
    """

    start: int
    size: int
    version: str


class PlannedPhoto(NamedTuple):
    """A photo of a job.

    uri   of the photo, of a pair the front one
    side  URI of the side photo, "" where there is none
    span  where its archive or Parquet file had it when it was listed; None: it is a file of its own, or was only named
    """

    uri: str
    side: str = ""
    span: Span | None = None


class KnownPhotos:
    """A set of URIs that keeps a 128-bit hash of each, in sorted arrays of growing lengths.

    Ten million take 160 MB. The chance that any two of them have the same hash is below 1e-24.
    """

    def __init__(self) -> None:
        self._levels: list[np.ndarray] = []

    def __len__(self) -> int:
        return sum(map(len, self._levels))

    def add_new(self, uris: Iterable[str]) -> list[str]:
        """Those of the URIs that were not in the set, in their order and each once; now they are."""
        new = {
            digest: uri
            for uri, digest in ((uri, blake2b(uri.encode(), digest_size=_DIGEST_BYTES).digest()) for uri in uris)
        }
        digests = np.array(list(new), f"S{_DIGEST_BYTES}")
        known = np.zeros(len(digests), bool)
        for level in self._levels:
            places = np.searchsorted(level, digests).clip(max=len(level) - 1)
            known |= level[places] == digests
        self._merge(np.sort(digests[~known]))
        return [uri for uri, old in zip(new.values(), known, strict=True) if not old]

    def _merge(self, digests: np.ndarray) -> None:
        """Every level stays more than twice as long as the next, so there are few of them."""
        if len(digests):
            self._levels.append(digests)
        while len(self._levels) > 1 and len(self._levels[-2]) <= 2 * len(self._levels[-1]):
            last = self._levels.pop()
            merged = np.concatenate([self._levels.pop(), last])
            merged.sort()
            self._levels.append(merged)


class KnownPairs:
    """A set of photos, and of pairs, whose front photos have one side photo each."""

    def __init__(self) -> None:
        self._photos, self._pairs = KnownPhotos(), KnownPhotos()

    def __len__(self) -> int:
        return len(self._photos)

    def add_new(self, photos: Iterable[PlannedPhoto]) -> list[PlannedPhoto]:
        """Those that were not in the set, in their order and each once; now they are.

        Raises
        ------
        InputError
            when a front photo has two side photos
        """
        given = list(photos)
        if not any(photo.side for photo in given):
            first = {photo.uri: photo for photo in reversed(given)}
            return [first[uri] for uri in self._photos.add_new(photo.uri for photo in given)]
        pairs = {f"{photo.uri}\n{photo.side}": photo for photo in given}
        new = [pairs[pair] for pair in self._pairs.add_new(pairs)]
        fronts = set(self._photos.add_new(photo.uri for photo in new))
        for photo in new:
            if photo.uri not in fronts:
                raise InputError(
                    f"photo {photo.uri}: it is the front of two pairs, with different side photos, in this list or in "
                    "it and what the output holds; name each front photo once, or choose another output"
                )
            fronts.remove(photo.uri)
        return new

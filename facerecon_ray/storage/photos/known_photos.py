"""Which photos were seen before, in 16 bytes each."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

_DIGEST_BYTES = 16


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

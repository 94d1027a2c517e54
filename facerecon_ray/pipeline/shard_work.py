"""What is to be done of a shard."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facerecon_ray.storage.manifest import FAULTS, FORGOTTEN
from facerecon_ray.storage.photos.known_photos import Span
from facerecon_ray.storage.photos.photo_plan import Shard


@dataclass(frozen=True)
class ShardWork:
    """Photos of a shard that are to be done.

    todo   their numbers in the shard
    kept   rows of the others, which an earlier run left; None when there are none
    """

    shard: Shard
    todo: tuple[int, ...]
    kept: pa.Table | None = None

    @classmethod
    def whole(cls, shard: Shard) -> "ShardWork":
        """All photos of a shard."""
        return cls(shard, tuple(range(len(shard.photos))))

    @classmethod
    def rest(cls, shard: Shard, rows: pa.Table, retry_failed: bool) -> "ShardWork":
        """Photos that have no rows yet, and those with a failed or unreadable row if they are to be tried again."""
        photos = rows["photo_uri"]
        if retry_failed:
            gone = rows.filter(pc.equal(rows["status"], FORGOTTEN))["photo_uri"]
            again = pc.and_not(pc.is_in(rows["status"], pa.array(FAULTS)), pc.is_in(photos, gone.combine_chunks()))
            failed = rows.filter(again)["photo_uri"]
            kept = rows.filter(pc.invert(pc.is_in(photos, failed.combine_chunks())))
        else:
            kept = rows
        done = set(kept["photo_uri"].to_pylist())
        return cls(shard, tuple(n for n, photo in enumerate(shard.photos) if photo not in done), kept)

    def after(self, rows: pa.Table, places: set[int]) -> "ShardWork":
        """What is left when the photos at these places are done; `rows` are theirs and those kept before."""
        return ShardWork(self.shard, tuple(n for n in self.todo if self.shard.first + n not in places), rows)

    def places(self) -> list[int]:
        """Places in the plan of the photos that are to be done."""
        return [self.shard.first + number for number in self.todo]

    def photos(self) -> list[str]:
        """URIs of the photos that are to be done."""
        return [self.shard.photos[number] for number in self.todo]

    def sides(self) -> list[str]:
        """URIs of their side photos; none if they are no pairs."""
        return [self.shard.sides[number] for number in self.todo] if self.shard.sides else []

    def spans(self) -> list[Span | None]:
        """Where in their archives they lie, None for those that are files of their own."""
        return [self.shard.spans[number] if self.shard.spans else None for number in self.todo]

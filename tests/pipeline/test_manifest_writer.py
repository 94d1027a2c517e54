from pathlib import Path

import pyarrow as pa
import pytest

from facerecon_ray.pipeline.manifest_writer import Arrived, ManifestWriter
from facerecon_ray.pipeline.shard_work import ShardWork
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.photos.photo_plan import Shard
from facerecon_ray.storage.schema import MANIFEST_SCHEMA

PHOTOS = ("/a", "/b", "/c", "/d")
FIRST, SECOND = Shard(0, 0, PHOTOS[:2]), Shard(1, 2, PHOTOS[2:])


def rows(*faces: tuple[int, int, int | None, str]) -> pa.Table:
    """Rows of (place, face_count, face_index, status)."""
    names = ("face_count", "face_index", "status")
    records = [
        dict.fromkeys(MANIFEST_SCHEMA.names) | {"photo_uri": PHOTOS[place]} | dict(zip(names, face, strict=True))
        for place, *face in faces
    ]
    table = pa.Table.from_pylist(records, schema=MANIFEST_SCHEMA)
    return table.append_column("position", pa.array([place for place, *_ in faces], pa.int64()))


def written(manifest: Manifest, shard: int) -> list[tuple[str, int | None, str]]:
    table = manifest.read(f"manifest/part-{shard:08d}.parquet", ["photo_uri", "face_index", "status"])
    return [(row["photo_uri"], row["face_index"], row["status"]) for row in table.to_pylist()]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return Manifest(OutputFolder(tmp_path))


@pytest.fixture
def writer(manifest: Manifest) -> ManifestWriter:
    writer = ManifestWriter(manifest)
    for shard in (FIRST, SECOND):
        writer.expect(ShardWork.whole(shard))
    return writer


def test_a_shard_is_written_when_the_last_face_of_its_last_photo_is_there(writer: ManifestWriter, manifest: Manifest):
    recorded: list[int] = []
    first = rows((1, 3, 2, "ok"), (0, 0, None, "no_face"), (2, 1, 0, "ok"))
    assert writer.add(first, recorded.append) == Arrived(2, 1, 0)
    assert writer.add(rows((1, 3, 0, "failed")), recorded.append) == Arrived()
    assert manifest.shards() == recorded == []
    assert writer.add(rows((1, 3, 1, "ok")), recorded.append) == Arrived(photos=1, faces=2, failed=1)
    assert manifest.shards() == [0] and recorded == [2]
    assert written(manifest, 0) == [("/a", None, "no_face"), ("/b", 0, "failed"), ("/b", 1, "ok"), ("/b", 2, "ok")]


def test_rows_that_arrive_again_are_not_written_twice(writer: ManifestWriter, manifest: Manifest):
    for _ in range(2):
        writer.add(rows((0, 2, 0, "ok"), (1, 1, 0, "ok")))
    writer.add(rows((0, 2, 1, "ok")))
    assert writer.add(rows((0, 2, 1, "ok"), (1, 1, 0, "ok"))) == Arrived()
    assert written(manifest, 0) == [("/a", 0, "ok"), ("/a", 1, "ok"), ("/b", 0, "ok")]


def test_what_is_complete_of_an_unfinished_shard_can_be_written_and_finished_later(
    writer: ManifestWriter, manifest: Manifest
):
    writer.add(rows((1, 1, 0, "ok"), (0, 2, 0, "ok")))
    assert writer.begun() == [0]
    writer.flush()
    assert written(manifest, 0) == [("/b", 0, "ok")]
    later = ManifestWriter(manifest)
    later.expect(ShardWork.rest(FIRST, manifest.read("manifest/part-00000000.parquet"), retry_failed=False))
    later.add(rows((0, 2, 0, "ok"), (0, 2, 1, "ok")))
    assert written(manifest, 0) == [("/a", 0, "ok"), ("/a", 1, "ok"), ("/b", 0, "ok")]


def test_a_photo_that_is_tried_again_loses_all_its_old_rows_and_no_other_row(manifest: Manifest):
    writer = ManifestWriter(manifest)
    writer.expect(ShardWork.whole(FIRST))
    writer.add(rows((0, 2, 0, "ok"), (0, 2, 1, "failed"), (1, 0, None, "unreadable")))
    part = manifest.read("manifest/part-00000000.parquet")
    assert ShardWork.rest(FIRST, part, retry_failed=False).todo == ()
    work = ShardWork.rest(FIRST, part, retry_failed=True)
    assert work.photos() == ["/a", "/b"]
    writer.expect(work)
    writer.add(rows((0, 1, 0, "ok")))
    assert written(manifest, 0) == [("/a", 0, "ok"), ("/a", 1, "failed"), ("/b", None, "unreadable")]
    writer.add(rows((1, 1, 0, "ok")))
    assert written(manifest, 0) == [("/a", 0, "ok"), ("/b", 0, "ok")]


def test_what_got_lost_on_the_way_is_left_to_do(writer: ManifestWriter, manifest: Manifest):
    writer.add(rows((0, 1, 0, "ok"), (2, 1, 0, "ok"), (3, 1, 0, "ok")))
    (left,) = writer.unfinished()
    assert left.shard == FIRST and left.places() == [1]
    writer.forget([0])
    assert writer.add(rows((1, 1, 0, "ok"))) == Arrived()
    writer.expect(left)
    writer.add(rows((1, 1, 0, "ok")))
    assert written(manifest, 0) == [("/a", 0, "ok"), ("/b", 0, "ok")] and manifest.shards() == [0, 1]

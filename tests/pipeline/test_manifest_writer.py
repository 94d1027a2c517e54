from pathlib import Path

import pyarrow as pa
import pytest

from facerecon_ray.pipeline.manifest_writer import Arrived, ManifestWriter
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.schema import MANIFEST_SCHEMA


def rows(*faces: tuple[str, int, int | None, str]) -> pa.Table:
    """Rows of (photo_uri, face_count, face_index, status)."""
    names = ("photo_uri", "face_count", "face_index", "status")
    records = [dict.fromkeys(MANIFEST_SCHEMA.names) | dict(zip(names, face, strict=True)) for face in faces]
    return pa.Table.from_pylist(records, schema=MANIFEST_SCHEMA)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return Manifest(OutputFolder(tmp_path))


def test_a_photo_is_written_only_when_its_last_face_has_arrived(manifest: Manifest):
    writer = ManifestWriter(manifest, done=set())
    assert writer.add(rows(("/a", 3, 2, "ok"), ("/b", 0, None, "no_face"))) == Arrived(photos=1, faces=0, failed=0)
    assert writer.add(rows(("/a", 3, 0, "failed"))) == Arrived(photos=0, faces=0, failed=0)
    writer.flush()
    assert manifest.photos() == {"/b"}
    assert writer.add(rows(("/a", 3, 1, "ok"))) == Arrived(photos=1, faces=2, failed=1)
    writer.flush()
    assert manifest.photos() == {"/a", "/b"} and manifest.totals().rows == {"ok": 2, "failed": 1, "no_face": 1}


def test_rows_that_arrive_again_are_dropped(manifest: Manifest):
    writer = ManifestWriter(manifest, done={"/old"})
    for _ in range(2):
        writer.add(rows(("/a", 2, 0, "ok"), ("/old", 1, 0, "ok")))
    writer.add(rows(("/a", 2, 1, "ok")))
    writer.add(rows(("/a", 2, 1, "ok")))
    writer.flush()
    assert manifest.totals().rows == {"ok": 2} and manifest.photos() == {"/a"}


def test_parts_are_written_when_they_are_long_or_old_enough(manifest: Manifest):
    long = ManifestWriter(manifest, done=set(), seconds=1e9, rows=3)
    for number in range(7):
        long.add(rows((f"/{number}", 1, 0, "ok")))
    assert len(manifest.parts()) == 2
    old = ManifestWriter(manifest, done=set(), seconds=0.0, rows=10**9)
    old.add(rows(("/x", 1, 0, "ok")))
    assert len(manifest.parts()) == 3


def test_nothing_is_written_when_nothing_arrived(manifest: Manifest):
    ManifestWriter(manifest, done=set()).flush()
    assert manifest.parts() == []

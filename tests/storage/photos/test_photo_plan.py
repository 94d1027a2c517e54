from pathlib import Path

import pytest

from facerecon_ray.errors import OutputError, StorageError
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.photos.known_photos import KnownPhotos, PlannedPhoto
from facerecon_ray.storage.photos.photo_plan import PhotoPlan


def uris(start: int, end: int) -> list[str]:
    return [f"s3://bucket/{number:07d}.jpg" for number in range(start, end)]


def photos(start: int, end: int) -> list[PlannedPhoto]:
    return list(map(PlannedPhoto, uris(start, end)))


def test_shards_are_small_at_first_and_grow_with_the_job(tmp_path: Path):
    plan = PhotoPlan(open_store(tmp_path), 256)
    part = plan.add(photos(0, 40_000))
    sizes = [len(shard.photos) for shard in plan.shards(part)]
    assert sum(sizes) == 40_000 and part.shards == len(sizes)
    assert set(sizes[:100]) == {16} and sizes[-2] == 256 and sizes == sorted(sizes[:-1]) + sizes[-1:]
    done = 0
    for size in sizes:
        assert size <= max(16, 0.01 * done)
        done += size


def test_a_plan_with_a_hole_or_an_empty_object_is_refused_and_other_files_are_none(tmp_path: Path):
    plan = PhotoPlan(open_store(tmp_path), 256)
    first, second = (tmp_path / plan.add(photos(start, start + 20)).name for start in (0, 20))
    for name in ("._photos-00000000.parquet", ".DS_Store", "photos-00000000 (1).parquet"):
        (tmp_path / "plan" / name).write_bytes(b"x")
    assert [part.photos for part, _ in PhotoPlan(open_store(tmp_path), 16).stored()] == [20, 20]
    second.write_bytes(b"")
    with pytest.raises(StorageError, match="is damaged"):
        list(PhotoPlan(open_store(tmp_path), 16).stored())
    first.unlink()
    with pytest.raises(StorageError, match=r"photos-00000000\.parquet is missing"):
        list(PhotoPlan(open_store(tmp_path), 16).stored())


def test_a_plan_that_was_added_to_is_read_back_in_order(tmp_path: Path):
    plan = PhotoPlan(open_store(tmp_path), 256)
    added = [plan.add(photos(0, 20)), plan.add(photos(20, 25)), plan.add(photos(25, 60))]
    again = PhotoPlan(open_store(tmp_path), 16)
    stored = list(again.stored())
    assert [part for part, _ in stored] == added
    shards = [shard for _, some in stored for shard in some]
    assert [shard.number for shard in shards] == list(range(6))
    assert [len(shard.photos) for shard in shards] == [16, 4, 5, 16, 16, 3]
    assert [photo for shard in shards for photo in shard.photos] == uris(0, 60)
    assert [shard.first for shard in shards] == [0, 16, 20, 25, 41, 57]
    assert again.add(photos(60, 61)).shard == 6


def test_two_runs_cannot_both_add_the_same_shards(tmp_path: Path):
    first, second = PhotoPlan(open_store(tmp_path), 256), PhotoPlan(open_store(tmp_path), 256)
    first.add(photos(0, 3))
    with pytest.raises(OutputError, match="another run"):
        second.add(photos(0, 3))


def test_a_damaged_plan_is_named(tmp_path: Path):
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "photos-00000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(StorageError, match=r"photos-00000000\.parquet is damaged"):
        list(PhotoPlan(open_store(tmp_path), 256).stored())


def test_known_photos_are_told_from_new_ones():
    known, reference = KnownPhotos(), set()
    for start in (0, 500, 250, 3000, 100, 2900):
        some = [*uris(start, start + 700), f"s3://bucket/{start:07d}.jpg"]
        expected = [uri for uri in dict.fromkeys(some) if uri not in reference]
        assert known.add_new(some) == expected
        reference.update(some)
    assert len(known) == len(reference) and known.add_new([]) == []

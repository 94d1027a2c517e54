import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from facerecon_ray.errors import InputError
from facerecon_ray.pipeline import photo_source
from facerecon_ray.pipeline.photo_source import Earlier, PhotoSource
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.photos.known_photos import PlannedPhoto
from facerecon_ray.storage.photos.photo_listing import PhotoListing
from facerecon_ray.storage.photos.photo_plan import PhotoPlan
from facerecon_ray.storage.schema import MANIFEST_SCHEMA


def uris(end: int) -> list[str]:
    return [f"/photos/{number:05d}.jpg" for number in range(end)]


def source_of(output: Path, photos: Iterator[str | None], **options: object) -> PhotoSource:
    folder = OutputFolder(output)
    earlier = Earlier(frozenset(Manifest(folder).shards()), options.pop("open", frozenset()))
    listing = PhotoListing("list", "/photos", photos)
    return PhotoSource(listing, PhotoPlan(folder.store, 256), Manifest(folder), earlier, **options)


def hand_out(source: PhotoSource) -> list[str]:
    photos = []
    with source.listing():
        while wave := source.next_wave():
            photos += [photo for work in wave for photo in work.photos()]
    return photos


def finish(output: Path, shard: int, photos: list[str], status: str = "no_face") -> None:
    row = dict.fromkeys(MANIFEST_SCHEMA.names) | {"face_count": 0, "status": status}
    rows = [row | {"photo_uri": photo} for photo in photos]
    Manifest(OutputFolder(output)).write(
        shard, MANIFEST_SCHEMA.empty_table().from_pylist(rows, schema=MANIFEST_SCHEMA)
    )


def test_the_first_photos_are_handed_out_while_the_input_is_still_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(photo_source, "_FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(photo_source, "_WAVE_SECONDS", 0.2)
    go_on = threading.Event()

    def slow_listing() -> Iterator[str]:
        yield from uris(100)
        go_on.wait(30)
        yield from (f"/photos/late{number}.jpg" for number in range(5))

    source = source_of(tmp_path, slow_listing())
    with source.listing():
        photos: list[str] = []
        while len(photos) < 100:
            photos += [photo for work in source.next_wave() for photo in work.photos()]
        assert photos == uris(100)
        assert not source.listed and not source.counted
        go_on.set()
        assert sum(len(work.todo) for work in source.next_wave()) == 5
        assert source.next_wave() == [] and source.counted and source.planned == source.todo == 105


def test_waves_are_bounded_and_together_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(photo_source, "LARGEST_WAVE", 100)
    source, sizes, photos = source_of(tmp_path, iter(uris(450))), [], []
    with source.listing():
        while wave := source.next_wave():
            sizes.append(sum(len(work.todo) for work in wave))
            photos += [photo for work in wave for photo in work.photos()]
    assert photos == uris(450) and max(sizes) <= 116


def test_pairs_keep_their_side_photos_in_the_plan_and_another_side_is_refused(tmp_path: Path):
    pairs = [PlannedPhoto(front, f"/side{front}") for front in uris(40)]
    source = source_of(tmp_path, iter([*pairs, *pairs[:5]]))
    assert hand_out(source) == uris(40)
    again = source_of(tmp_path, iter(pairs))
    with again.listing():
        works = again.next_wave()
    assert [pair for work in works for pair in zip(work.photos(), work.sides(), strict=True)] == [
        (pair.uri, pair.side) for pair in pairs
    ]
    with pytest.raises(InputError, match=r"00003\.jpg: it is the front of two pairs"):
        hand_out(source_of(tmp_path, iter([PlannedPhoto("/photos/00003.jpg", "/other.jpg")])))


def test_a_photo_that_comes_twice_is_done_once(tmp_path: Path):
    assert hand_out(source_of(tmp_path, iter([*uris(5), None, *uris(7)]))) == uris(7)


def test_a_continued_job_does_what_is_missing_and_what_is_new(tmp_path: Path):
    hand_out(source_of(tmp_path, iter(uris(60))))
    finish(tmp_path, 0, uris(16))
    finish(tmp_path, 2, uris(60)[32:48])
    source = source_of(tmp_path, iter([*uris(60)[10:], "/photos/new.jpg"]))
    assert hand_out(source) == [*uris(60)[16:32], *uris(60)[48:], "/photos/new.jpg"]
    assert (source.planned, source.done, source.todo) == (61, 32, 29)


def test_a_shard_of_which_a_part_was_written_is_finished(tmp_path: Path):
    hand_out(source_of(tmp_path, iter(uris(40))))
    finish(tmp_path, 0, uris(16))
    finish(tmp_path, 1, uris(40)[20:32])
    finish(tmp_path, 2, uris(40)[32:])
    source = source_of(tmp_path, iter(uris(40)), open=frozenset({0, 1}))
    assert hand_out(source) == uris(40)[16:20] and source.closed == {0, 1}
    assert (source.planned, source.done, source.todo) == (40, 36, 4)


def test_an_open_shard_beyond_the_limit_stays_open(tmp_path: Path):
    hand_out(source_of(tmp_path, iter(uris(40))))
    for shard in range(3):
        finish(tmp_path, shard, [])
    source = source_of(tmp_path, iter(uris(40)), open=frozenset({0, 2}), limit=16)
    assert hand_out(source) == uris(16) and source.closed == {0}


def test_only_photos_that_failed_are_tried_again(tmp_path: Path):
    hand_out(source_of(tmp_path, iter(uris(40))))
    finish(tmp_path, 0, uris(16))
    finish(tmp_path, 1, uris(40)[16:32], "unreadable")
    finish(tmp_path, 2, uris(40)[32:], "failed")
    assert hand_out(source_of(tmp_path, iter(uris(40)))) == []
    assert hand_out(source_of(tmp_path, iter(uris(40)), retry_failed=True)) == uris(40)[16:]


def test_a_limit_counts_the_photos_of_the_plan(tmp_path: Path):
    assert hand_out(source_of(tmp_path, iter(uris(3000)), limit=20)) == uris(20)
    finish(tmp_path, 0, uris(16))
    assert hand_out(source_of(tmp_path, iter(uris(3000)), limit=30)) == uris(30)[16:]


def test_an_error_of_the_listing_reaches_who_asks_for_photos(tmp_path: Path):
    def broken() -> Iterator[str]:
        yield from uris(3)
        raise InputError("folder /photos: gone")

    with pytest.raises(InputError, match="gone"):
        hand_out(source_of(tmp_path, broken()))

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from s3_server import S3Server

from facerecon_ray.config.people import PeopleJob
from facerecon_ray.config.settings import load_job
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError, OutputError
from facerecon_ray.pipeline.people import forgetting
from facerecon_ray.pipeline.people.forgetting import Forgotten, forget
from facerecon_ray.pipeline.people.job import run_people
from facerecon_ray.pipeline.shard_work import ShardWork
from facerecon_ray.report.gallery import write_gallery
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import read_face_file
from facerecon_ray.storage.photos.photo_plan import Shard

PHOTOS = "/photos"
Write = Callable[..., OutputFolder]


@pytest.fixture
def out(ray_cluster: None, write_collection: Write, tmp_path: Path) -> Path:
    """A job's output, and its people in the folder beside it."""
    write_collection(tmp_path / "out")
    job = load_job(PeopleJob, None, {"input": str(tmp_path / "out"), "output": str(tmp_path / "people")})
    run_people(job, lambda *_: None)
    return tmp_path / "out"


def run(out: Path, *photos: str, person: str | None = None) -> Forgotten:
    return forget(str(out), photos, person, S3Settings())


def rows_of(out: Path) -> dict[tuple[str, int], dict]:
    rows = Manifest(OutputFolder(out)).read("manifest/part-00000000.parquet").to_pylist()
    return {(Path(row["photo_uri"]).stem, row["face_index"]): row for row in rows}


def people_of(out: Path) -> dict[str, dict]:
    return {row["person"]: row for row in pq.read_table(out.parent / "people" / "people.parquet").to_pylist()}


def test_a_photo_is_gone_from_the_job_and_from_the_people_made_of_it(out: Path) -> None:
    before = people_of(out)
    done = run(out, "/photos/ann1.jpg")
    assert (done.rows, done.files, done.people, done.missing) == (1, 3, 1, [])
    rows = rows_of(out)
    gone = rows[("ann1", 0)]
    assert {name for name, value in gone.items() if value is not None} == {
        *("photo_uri", "face_count", "face_index", "status")
    }
    assert gone["status"] == "forgotten" and len(rows) == 6
    assert not list(out.rglob("ann1.jpg/*")) and list(out.rglob("ann2.jpg/*"))
    after = people_of(out)
    assert after.keys() == before.keys()
    ann = next(person for person, row in before.items() if "ann1" in str(row["faces"]))
    assert after[ann]["photos"] == 2 and "ann1" not in str(after)
    assert np.abs(np.array(after[ann]["shape"]) - before[ann]["shape"]).max() > 1e-3
    assert (out.parent / "people" / after[ann]["mesh_uri"]).exists()
    for page in (out / "index.html", out.parent / "people" / "index.html"):
        assert "ann1" not in page.read_text()


def test_what_a_person_keeps_is_what_the_others_photos_give_without_it(out: Path, write_collection: Write) -> None:
    run(out, "/photos/ann1.jpg")
    kept = people_of(out)
    write_collection(out, "ann2", "both", "bob1", "bob2")
    job = load_job(PeopleJob, None, {"input": str(out), "output": str(out.parent / "people")})
    assert run_people(job, lambda *_: None).made == 0
    assert {row["members"] for row in people_of(out).values()} == {row["members"] for row in kept.values()}


def test_a_person_is_gone_and_the_others_in_their_photos_stay(out: Path) -> None:
    people = people_of(out)
    ann = next(person for person, row in people.items() if "ann1" in str(row["faces"]))
    of_ann = {(Path(face["photo_uri"]).stem, face["face_index"]) for face in people[ann]["faces"]}
    assert run(out, person=ann).rows == 3
    assert {key for key, row in rows_of(out).items() if row["status"] == "forgotten"} == of_ann
    assert list(people_of(out)) == [person for person in people if person != ann]
    identities = pq.read_table(out.parent / "people" / "identities.parquet")["person"].to_pylist()
    assert ann not in identities and len(identities) == 3
    assert not list((out.parent / "people").rglob(f"{ann}.*"))
    assert len(list(out.rglob("meshes/both.jpg/*.glb"))) == 1


def test_a_run_that_was_killed_anywhere_is_finished_by_the_same_command(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for broken in ("write_gallery", "write_people_page", "_verify"):
        with monkeypatch.context() as patch, pytest.raises(RuntimeError):
            patch.setattr(forgetting, broken, _break)
            run(out, "/photos/bob1.jpg")
    run(out, "/photos/bob1.jpg")
    assert rows_of(out)[("bob1", 0)]["status"] == "forgotten" and "bob1" not in str(people_of(out))
    assert run(out, "/photos/bob1.jpg") == Forgotten()


def _break(*_: object) -> None:
    raise RuntimeError


def test_what_is_left_is_never_called_gone(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "_clear_people", lambda *_: None)
    with pytest.raises(OutputError, match=r"not everything is gone, .*/photos/ann1\.jpg in .*people is left"):
        run(out, "/photos/ann1.jpg")


def test_a_forgotten_photo_is_not_done_again(out: Path) -> None:
    run(out, "/photos/both.jpg")
    rows = Manifest(OutputFolder(out)).read("manifest/part-00000000.parquet")
    photos = tuple(dict.fromkeys(rows["photo_uri"].to_pylist()))
    assert ShardWork.rest(Shard(0, 0, photos), rows, retry_failed=True).todo == ()


def test_what_is_not_there_cannot_be_forgotten(out: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no photo /photos/carl\.jpg"):
        run(out, "/photos/carl.jpg")
    with pytest.raises(InputError, match=r"no person carl .*people"):
        run(out, person="carl")
    with pytest.raises(InputError, match=r"no run\.json"):
        run(tmp_path / "nothing", "/photos/a.jpg")
    assert all(row["status"] == "ok" for row in rows_of(out).values())


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_a_photo_is_gone_from_a_pack_and_the_others_in_it_stay(
    write_collection: Write, seaweed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    target = tmp_path / "out" if where == "folder" else f"s3://{seaweed.bucket()}/out"
    output = write_collection(target, "ann1", "bob1", "both", s3=seaweed.settings, pack="shard")
    write_gallery(output, 100)
    part = "manifest/part-00000000.parquet"
    before = Manifest(output).read(part).to_pylist()
    # Killed when the new pack is there and the old one still is.
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(forgetting, "delete_others", _break)
        forget(output.uri, [f"{PHOTOS}/ann1.jpg"], None, seaweed.settings)
    with monkeypatch.context() as patch, pytest.raises(OutputError, match=r"packs/part-00000000-\w+\.tar is left"):
        patch.setattr(forgetting, "delete_others", lambda *_: None)
        forget(output.uri, [f"{PHOTOS}/ann1.jpg"], None, seaweed.settings)
    forget(output.uri, [f"{PHOTOS}/ann1.jpg"], None, seaweed.settings)
    after = Manifest(output).read(part).to_pylist()
    assert [row["status"] for row in after] == ["forgotten", "ok", "ok", "ok"]
    assert after[0]["mesh_uri"] is after[0]["sample_offset"] is after[0]["preview_length"] is None
    for old, new in zip(before[1:], after[1:], strict=True):
        assert len(read_face_file(output.store, new, "preview")) == old["preview_length"]
        assert new["mesh_uri"] != old["mesh_uri"] and new["mesh_offset"] < old["mesh_offset"]
    (pack,) = (found.name for found in output.store.list("packs/"))
    assert b"ann1" not in output.store.read(pack) and b"bob1" in output.store.read(pack)
    assert not any("ann1" in found.name for found in output.store.list())


def test_people_of_packed_meshes_are_those_of_files(
    ray_cluster: None, write_collection: Write, tmp_path: Path
) -> None:
    for name, pack in (("files", "none"), ("packs", "shard")):
        write_collection(tmp_path / name / "out", "ann1", "bob1", pack=pack)
        job = load_job(
            PeopleJob, None, {"input": str(tmp_path / name / "out"), "output": str(tmp_path / name / "people")}
        )
        run_people(job, lambda *_: None)
    files, packs = (sorted((tmp_path / name).glob("people/people/*.glb")) for name in ("files", "packs"))
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in packs] and len(files) == 2


def test_a_photo_is_gone_from_a_bucket_and_its_neighbour_stays(write_collection: Write, seaweed: S3Server) -> None:
    bucket = seaweed.bucket()
    output = write_collection(f"s3://{bucket}/out", "ann1", "bob1", s3=seaweed.settings)
    done = forget(output.uri, [f"{PHOTOS}/ann1.jpg"], None, seaweed.settings)
    assert (done.rows, done.files) == (1, 3)
    names = [stored.name for stored in output.store.list()]
    assert not any("ann1" in name for name in names) and sum("bob1" in name for name in names) == 3
    rows = Manifest(output).read("manifest/part-00000000.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["forgotten", "ok"] and rows[0]["descriptor"] is None

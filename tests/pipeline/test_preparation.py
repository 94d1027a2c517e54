from pathlib import Path

import pytest

from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import load_job
from facerecon_ray.errors import FaceReconError
from facerecon_ray.pipeline.preparation import PreparedJob, prepare
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.photos.known_photos import PlannedPhoto
from facerecon_ray.storage.photos.photo_plan import PhotoPlan
from facerecon_ray.storage.run_record import RunRecord, load_record, save_record
from facerecon_ray.storage.schema import MANIFEST_SCHEMA


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        path = tmp_path / "photos" / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "photos"


def prepared(photos: Path, output: Path, overwrite: bool = False, **settings: object) -> PreparedJob:
    return prepare(
        load_job(ReconstructJob, None, {"input": str(photos), "output": str(output), **settings}), overwrite
    )


def leave_results(job: PreparedJob, photo: str) -> RunRecord:
    """Leave the output as a run does that was stopped after one photo."""
    save_record(job.output, job.record)
    PhotoPlan(job.output.store, 256).add([PlannedPhoto(photo)])
    row = dict.fromkeys(MANIFEST_SCHEMA.names) | {"photo_uri": photo, "face_count": 0, "status": "no_face"}
    Manifest(job.output).write(0, MANIFEST_SCHEMA.empty_table().from_pylist([row], schema=MANIFEST_SCHEMA))
    record = load_record(job.output.store)
    assert record is not None
    return record


def test_preparing_writes_nothing(photos: Path, tmp_path: Path):
    job = prepared(photos, tmp_path / "new" / "out", limit=2)
    assert not job.continues and job.count() == (2, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_a_job_continues_what_it_left(photos: Path, tmp_path: Path):
    record = leave_results(prepared(photos, tmp_path / "out"), f"{photos}/a.jpg")
    job = prepared(photos, tmp_path / "out")
    assert job.continues and job.record == record and job.count() == (3, 1)


def test_a_run_from_before_fitting_was_a_stage_of_its_own_is_continued(photos: Path, tmp_path: Path):
    def left(name: str, fit: str) -> Path:
        job = prepared(photos, tmp_path / name)
        record = leave_results(job, f"{photos}/a.jpg")
        del record.settings["fit"]
        record.settings["rotate"]["fit"] = fit
        save_record(job.output, record)
        return tmp_path / name

    assert prepared(photos, left("same", "network")).continues
    with pytest.raises(FaceReconError, match=r"fit.method was landmarks, now is network"):
        prepared(photos, left("other", "landmarks"))


def test_keys_keep_the_root_that_the_first_run_chose(photos: Path, tmp_path: Path):
    listing = tmp_path / "list.txt"
    listing.write_text("photos/a.jpg\n")
    leave_results(prepared(listing, tmp_path / "out"), f"{photos}/a.jpg")
    listing.write_text("photos/a.jpg\nb.jpg\n")
    assert prepared(listing, tmp_path / "out").files.photo_root == str(photos)


def test_a_list_of_photos_is_the_same_wherever_it_lies_and_whatever_was_added(photos: Path, tmp_path: Path):
    def listed(where: str, *names: str) -> Path:
        listing = tmp_path / where
        listing.parent.mkdir(exist_ok=True)
        listing.write_text("".join(f"{photos}/{name}.jpg\n" for name in names))
        return listing

    leave_results(prepared(listed("package-1/list.txt", "a", "b"), tmp_path / "out"), f"{photos}/a.jpg")
    for again in (
        listed("package-2/list.txt", "a", "b"),
        listed("package-3/list.txt", "c"),
        listed("package-3/longer.txt", "c", "a"),
    ):
        assert prepared(again, tmp_path / "out").continues
    with pytest.raises(FaceReconError, match=r"of the list .*package-1/list\.txt, of which .*other\.txt has"):
        prepared(listed("package-3/other.txt", "c"), tmp_path / "out")
    with pytest.raises(FaceReconError, match=r"input was .*list\.txt, now is .*photos"):
        prepared(photos, tmp_path / "out")


def test_overwrite_starts_anew(photos: Path, tmp_path: Path):
    leave_results(prepared(photos, tmp_path / "out"), f"{photos}/a.jpg")
    job = prepared(photos, tmp_path / "out", overwrite=True)
    assert not job.continues and job.count() == (3, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"export.format": "obj"}, "export.format was glb, now is obj"),
        ({"input": "elsewhere"}, "input was .*photos, now is .*elsewhere"),
        ({"reconstruct.method": "two-view"}, "reconstruct.method was fitted, now is two-view"),
        ({"face_model": "missing.npz"}, "'face_model': .*missing.npz: No such file"),
        ({"crop.landmark_model": "."}, "'crop.landmark_model': .*Is a directory"),
    ],
)
def test_what_cannot_start_is_refused_with_the_reason(
    photos: Path, tmp_path: Path, settings: dict, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").symlink_to(photos)
    leave_results(prepared(photos, tmp_path / "out"), f"{photos}/a.jpg")
    with pytest.raises(FaceReconError, match=message):
        prepared(photos, tmp_path / "out", **settings)


def test_pools_and_limit_and_gallery_may_differ_when_a_job_is_continued(photos: Path, tmp_path: Path):
    leave_results(prepared(photos, tmp_path / "out"), f"{photos}/a.jpg")
    changed = {"limit": 2, "pools.crop.workers": 7, "report.gallery_faces": 3, "shard_photos": 16, "read.threads": 2}
    changed |= {"s3.time_limit": 5.0, "faults.batch_seconds": 7.0}
    assert prepared(photos, tmp_path / "out", **changed).continues


def test_a_damaged_record_is_named(photos: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("{}")
    with pytest.raises(FaceReconError, match=r"run\.json cannot be read"):
        prepared(photos, tmp_path / "out")


def test_an_output_without_what_people_need_is_not_continued_with_it(photos: Path, tmp_path: Path):
    leave_results(prepared(photos, tmp_path / "out"), f"{photos}/a.jpg")
    with pytest.raises(FaceReconError, match=r"people\.enabled was None, now is True"):
        prepared(photos, tmp_path / "out", **{"people.enabled": True})

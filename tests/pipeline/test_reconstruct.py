import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
import toy_stages
from rich.console import Console
from s3_server import CREDENTIALS, S3Server
from toy_stages import run_toy, separate_plan, toy_plan

from facerecon_ray.cluster.nodes import live_cluster
from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import PoolSettings, load_job
from facerecon_ray.errors import AssetError, InputError, OutputError, SettingsError
from facerecon_ray.pipeline.capacity.sized_stage import Pool
from facerecon_ray.pipeline.capacity.sizing import size_stages
from facerecon_ray.pipeline.ledger import start_ledger
from facerecon_ray.pipeline.preparation import prepare
from facerecon_ray.pipeline.reconstruct import JobResult, run_reconstruct
from facerecon_ray.pipeline.streaming import build_dataset, rows_per_call
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.run_lock import claimed
from facerecon_ray.storage.run_record import load_record
from facerecon_ray.storage.uris import path_of

pytestmark = pytest.mark.usefixtures("ray_cluster")

Photos = Callable[..., Path]


def manifest(output: Path) -> list[dict]:
    return pq.read_table(output / "manifest").to_pylist()


def driver(photos: Path, output: Path) -> subprocess.Popen[str]:
    """A job in a process of its own, on the tests' cluster, slow enough to be stopped midway."""
    known = {"PYTHONPATH": str(Path(__file__).parents[2]), "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    return subprocess.Popen(
        [sys.executable, toy_stages.__file__, str(photos), str(output), "0.1"],
        env={**os.environ, **known},
        stderr=subprocess.PIPE,
        text=True,
    )


def faces(output: Path) -> Counter:
    return Counter((Path(row["photo_uri"]).stem, row["face_index"]) for row in manifest(output))


@pytest.fixture(scope="module")
def mixed(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, JobResult]:
    """Output folder and result of a job on good and bad photos."""
    root = tmp_path_factory.mktemp("mixed")
    photos = {"one": "faces=1", "three": "faces=3", "none": "faces=0", "bad": "unreadable", "turn": "rotate-fails"}
    photos |= {"x/me": "faces=1", "y/me": "faces=1", "empty": "", "na\udcff\nme": "faces=1"}
    for name, text in photos.items():
        path = root / "photos" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "out", run_toy(root / "photos", root / "out", **{"rotate.yaw_change": 20})


def test_every_face_is_one_row_and_so_is_every_photo_that_gave_none(mixed: tuple[Path, JobResult]):
    out, result = mixed
    assert faces(out) == {
        **{("three", face): 1 for face in range(3)},
        **dict.fromkeys([("one", 0), ("turn", 0), ("na%FF%0Ame", 0)], 1),
        **dict.fromkeys([("none", None), ("bad", None), ("empty", None)], 1),
        ("me", 0): 2,
    }
    assert result.totals.rows == {"ok": 7, "no_face": 1, "unreadable": 2, "failed": 1}
    assert {reason for _, _, reason in result.totals.first_errors} == {
        "not a photo",
        "the file is empty",
        "the face cannot be turned",
    }


def test_a_row_tells_how_far_its_photo_came(mixed: tuple[Path, JobResult]):
    rows = {Path(row["photo_uri"]).stem: row for row in manifest(mixed[0])}
    assert rows["empty"]["error"] == "the file is empty"
    assert rows["none"]["status"] == "no_face" and rows["none"]["bbox"] is None and rows["none"]["face_count"] == 0
    assert rows["turn"]["error"] == "the face cannot be turned" and rows["turn"]["landmarks"] is not None
    assert rows["turn"]["pose"] is rows["turn"]["shape"] is rows["turn"]["mesh_uri"] is None
    assert rows["one"]["error"] is None and rows["one"]["shape"] == [1.0] * 5


def test_files_of_a_face_lie_where_its_row_says(mixed: tuple[Path, JobResult]):
    out, result = mixed
    good = [row for row in manifest(out) if row["status"] == "ok"]
    for row in good:
        name = f"{path_of(row['photo_uri']).name}/{row['face_index']}".encode(errors="surrogateescape")
        assert (out / row["mesh_uri"]).read_bytes() == b"mesh of " + name
        assert (out / row["preview_uri"]).read_bytes() == b"preview of " + name
    assert len({row["mesh_uri"] for row in good}) == len(good)
    assert {"meshes/x/me.jpg/0.glb", "meshes/y/me.jpg/0.glb"} <= {row["mesh_uri"] for row in good}
    assert (out / "viewer" / "three.jpg" / "1.js").is_file()
    assert result.gallery == (out / "index.html").as_uri() and (out / "index.html").is_file()
    assert not list(out.rglob("*.tmp"))


def test_run_record_tells_settings_versions_counts_and_times(mixed: tuple[Path, JobResult]):
    record = json.loads((mixed[0] / "run.json").read_text())
    assert record["settings"]["rotate"]["yaw_change"] == 20
    assert record["versions"]["ray"] == ray.__version__
    assert record["rows"] == mixed[1].totals.rows and record["photos"] == 9
    assert record["stage_seconds"].keys() >= {"read", "crop", "rotate", "reconstruct", "export", "write"}
    assert [run["outcome"] for run in record["runs"]] == ["finished"]
    assert record["runs"][0]["photos"] == 9 and record["runs"][0]["seconds"] > 0


def test_a_job_without_any_usable_photo_ends_cleanly(toy_photos: Photos, tmp_path: Path):
    result = run_toy(toy_photos(a="unreadable", b="faces=0"), tmp_path / "out")
    assert result.totals.rows == {"unreadable": 1, "no_face": 1}
    assert result.run.outcome == "finished" and (tmp_path / "out" / "index.html").is_file()


@pytest.mark.slow
def test_pairs_keep_their_side_photos_through_the_job_and_its_continuation(toy_photos: Photos, tmp_path: Path):
    folder, out = toy_photos(a="faces=1", b="rotate-fails", c="faces=1", x="faces=1"), tmp_path / "out"
    listing = tmp_path / "pairs.csv"
    listing.write_text("front,side\nphotos/a.jpg,photos/x.jpg\nphotos/b.jpg,photos/a.jpg\n")
    assert run_toy(listing, out, pairs=True).totals.rows == {"ok": 1, "failed": 1}
    with listing.open("a") as file:
        file.write("photos/c.jpg,photos/x.jpg\n")
    assert run_toy(listing, out, pairs=True).run.photos == 1
    sides = {Path(row["photo_uri"]).name: row["side_photo_uri"] for row in manifest(out)}
    assert sides == {
        name: str(folder / side) for name, side in (("a.jpg", "x.jpg"), ("b.jpg", "a.jpg"), ("c.jpg", "x.jpg"))
    }
    listing.write_text("front,side\nphotos/a.jpg,photos/c.jpg\n")
    with pytest.raises(InputError, match=r"a\.jpg: it is the front of two pairs"):
        run_toy(listing, out, pairs=True)
    with pytest.raises(OutputError, match="other settings"):
        run_toy(folder, out)


def test_the_same_job_again_redoes_nothing_and_adds_what_is_new(toy_photos: Photos, tmp_path: Path):
    out = tmp_path / "out"
    folder = toy_photos(a="faces=2", b="faces=0")
    run_toy(folder, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.glb")}
    assert run_toy(folder, out).run.photos == 0
    toy_photos(c="faces=1")
    assert run_toy(folder, out).run.photos == 1
    assert faces(out) == {("a", 0): 1, ("a", 1): 1, ("b", None): 1, ("c", 0): 1}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    record = load_record(open_store(out))
    assert record is not None and [run.photos for run in record.runs] == [2, 0, 1]


@pytest.mark.slow
def test_other_settings_need_another_folder_or_overwrite(toy_photos: Photos, tmp_path: Path):
    out, folder = tmp_path / "out", toy_photos(a="faces=1")
    run_toy(folder, out)
    with pytest.raises(OutputError, match=r"rotate.yaw_change was 30.0, now is 20.*--overwrite"):
        run_toy(folder, out, **{"rotate.yaw_change": 20})
    (out / "notes.txt").write_text("mine")
    (out / "meshes" / "mine.glb").write_text("mine")
    toy_photos(a="faces=0")
    run_toy(folder, out, overwrite=True, **{"rotate.yaw_change": 20})
    assert faces(out) == {("a", None): 1}
    assert [path.name for path in out.rglob("*.glb")] == ["mine.glb"] and (out / "notes.txt").exists()


def test_a_killed_worker_loses_no_row(toy_photos: Photos, tmp_path: Path):
    photos = {f"p{number:02d}": "faces=2" for number in range(20)}
    folder = toy_photos(**{**photos, "p07": f"crash {tmp_path / 'crashed'}"})
    run_toy(folder, tmp_path / "out")
    assert (tmp_path / "crashed").exists()
    expected = {(name, face) for name in photos for face in range(2 if name != "p07" else 1)}
    assert faces(tmp_path / "out") == dict.fromkeys(expected, 1)


@pytest.mark.slow
def test_an_error_of_a_worker_reaches_the_user_as_it_was_raised(toy_photos: Photos, tmp_path: Path):
    folder = toy_photos(a="disk-full")
    with pytest.raises(OutputError) as caught:
        run_toy(folder, tmp_path / "out")
    assert str(caught.value) == "cannot write: No space left on device"
    record = load_record(open_store(tmp_path / "out"))
    assert record is not None and record.runs[-1].outcome == "failed"
    toy_photos(a="faces=1")
    run_toy(folder, tmp_path / "out", **{"rotate.yaw_change": 20})
    assert faces(tmp_path / "out") == {("a", 0): 1}, "a run that finished no photo stands in nobody's way"


@pytest.mark.slow
def test_an_error_while_a_worker_starts_reaches_the_user_as_it_was_raised(
    toy_photos: Photos, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    job = load_job(ReconstructJob, None, {"input": str(toy_photos(a="faces=1")), "output": str(tmp_path / "out")})

    def plan(job, files):
        return [toy_plan(job, files)[0], toy_stages.PlannedStage("rotate", (toy_stages.no_asset,), PoolSettings())]

    with pytest.raises(AssetError) as caught:
        run_reconstruct(prepare(job), Console(stderr=True), plan=plan)
    assert str(caught.value) == "model.npz is not a face model"
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.slow
def test_stages_are_separate_operators_that_stream_into_each_other(toy_photos: Photos, tmp_path: Path):
    job = load_job(ReconstructJob, None, {"input": str(toy_photos(a="faces=1")), "output": str(tmp_path / "out")})
    photos = {"photo_uri": ["a"] * 3, "position": [0, 1, 2], "status": ["ok"] * 3, "error": [""] * 3}
    stages = size_stages(separate_plan(job, prepare(job).files), live_cluster())
    dataset = build_dataset(pa.table(photos), stages, start_ledger(8, 60.0))
    dataset = dataset.materialize()
    operators = [line.split()[2].rstrip(":") for line in dataset.stats().splitlines() if line.startswith("Operator ")]
    names = [f"MapBatches({name})" for name in ("read", "crop", "rotate", "reconstruct", "export")]
    assert operators[-5:] == names


def test_pools_that_do_not_fit_the_cluster_are_refused_at_once(toy_photos: Photos, tmp_path: Path):
    job = load_job(ReconstructJob, None, {"input": str(toy_photos(a="faces=1")), "output": str(tmp_path / "out")})

    def plan(job, files):
        stages = toy_plan(job, files)
        return [*stages[:-1], toy_stages.PlannedStage("export", stages[-1].steps, PoolSettings(gpus=64))]

    with pytest.raises(SettingsError, match="need 64 GPUs"):
        run_reconstruct(prepare(job), Console(stderr=True), plan=plan)


@pytest.mark.parametrize(("photos", "rows"), [(1, 1), (9, 2), (64, 8), (10_000, 8)])
def test_few_photos_are_shared_out_among_the_workers(photos: int, rows: int):
    assert rows_per_call(photos, Pool(2, 2, 0.1, 0.0, 8, {}, {})) == rows


@pytest.mark.slow
def test_a_job_whose_driver_is_killed_is_continued_with_every_row_once(toy_photos: Photos, tmp_path: Path):
    folder, out = toy_photos(**{f"p{number:02d}": f"faces={number % 4}" for number in range(60)}), tmp_path / "out"
    job = driver(folder, out)
    deadline = time.monotonic() + 90
    while not list((out / "manifest").glob("part-*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.1)
    job.kill()
    job.communicate()
    done = len({row["photo_uri"] for row in manifest(out)})
    assert 0 < done < 60
    result = run_toy(folder, out)
    assert result.run.photos == 60 - done
    record = load_record(open_store(out))
    assert record is not None and [run.outcome for run in record.runs] == ["killed", "finished"]
    expected = {(f"p{n:02d}", face if n % 4 else None) for n in range(60) for face in range(max(n % 4, 1))}
    assert faces(out) == dict.fromkeys(expected, 1)


def test_a_job_reads_from_a_bucket_and_writes_to_a_bucket(seaweed: S3Server):
    root = f"s3://{seaweed.bucket()}"
    store = open_store(root, seaweed.settings)
    for name, text in {"a": "faces=2", "x/b": "faces=0", "y/b": "faces=1", "c": "unreadable"}.items():
        store.write(f"photos/{name}.jpg", text.encode())
    settings = {"s3.endpoint_url": seaweed.endpoint}
    result = run_toy(f"{root}/photos", f"{root}/out", **settings)
    assert result.totals.rows == {"ok": 3, "no_face": 1, "unreadable": 1}
    (rows,) = (table.to_pylist() for table in Manifest(OutputFolder(f"{root}/out", seaweed.settings)).tables())
    assert [row["photo_uri"].removeprefix(f"{root}/photos/") for row in rows if row["status"] == "ok"] == [
        "a.jpg",
        "a.jpg",
        "y/b.jpg",
    ]
    for row in rows:
        if row["status"] == "ok":
            name = f"{row['photo_uri'].rpartition('/')[2]}/{row['face_index']}"
            assert store.read(f"out/{row['mesh_uri']}") == f"mesh of {name}".encode()
    assert {found.name for found in store.list("out/")} > {"out/index.html", "out/run.json"}
    assert not store.exists("out/.facerecon.lock")
    assert run_toy(f"{root}/photos", f"{root}/out", **settings).run.photos == 0
    record = store.read("out/run.json").decode()
    assert not any(secret in record for secret in CREDENTIALS.values())


@pytest.mark.slow
def test_interrupt_keeps_complete_photos_and_says_so_in_the_record(toy_photos: Photos, tmp_path: Path):
    folder, out = toy_photos(**{f"p{number:02d}": "faces=1" for number in range(60)}), tmp_path / "out"
    job = driver(folder, out)
    assert job.stderr is not None
    while "faces=" not in job.stderr.readline():
        assert job.poll() is None, "the job ended before its first face"
    job.send_signal(signal.SIGINT)
    job.communicate(timeout=60)
    record = load_record(open_store(out))
    assert record is not None and record.runs[-1].outcome == "stopped"
    done = len(manifest(out))
    assert 0 < done < 60 and record.photos == done
    assert run_toy(folder, out).run.photos == 60 - done


def test_two_runs_never_write_to_one_folder(toy_photos: Photos, tmp_path: Path):
    prepared = prepare(
        load_job(ReconstructJob, None, {"input": str(toy_photos(a="faces=1")), "output": str(tmp_path / "out")})
    )
    with claimed(prepared.output.store), pytest.raises(OutputError, match="another run"):
        run_reconstruct(prepared, Console(stderr=True), plan=partial(toy_plan))

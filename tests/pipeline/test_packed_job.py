"""Jobs whose meshes and previews go into a tar for each shard: the bytes of files, whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import ray
import toy_stages
from packed_faces import packed_faces, rows_of
from s3_server import S3Server
from toy_stages import ToyCropper, ToyExporter, ToyReconstructor, ToyRotator, run_toy

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import OutputError, SettingsError
from facerecon_ray.pipeline import shard_packs
from facerecon_ray.pipeline.face_files import FaceFiles, FaceWriter
from facerecon_ray.pipeline.manifest_writer import ManifestWriter
from facerecon_ray.pipeline.shard_packs import ShardPacks
from facerecon_ray.pipeline.shard_work import ShardWork
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import clean, read_face_file
from facerecon_ray.storage.photos.photo_plan import Shard
from facerecon_ray.storage.uris import name_of

Photos = Callable[..., Path]
PACK = {"export.pack": "shard"}


class Job:
    """The end of a job without Ray: photos of two faces each in shards of 8, done in calls of some photos."""

    def __init__(self, output: OutputFolder, photos: int, pack: str = "shard", s3: S3Settings | None = None) -> None:
        uris = [f"/photos/p{number:02d}.jpg" for number in range(photos)]
        self.shards = [Shard(first // 8, first, tuple(uris[first : first + 8])) for first in range(0, photos, 8)]
        self.output, self.manifest = output, Manifest(output)
        packs = ShardPacks(output, s3 or S3Settings(), lambda: None) if pack == "shard" else None
        if packs:
            clean(output, self.manifest)
        self.writer = ManifestWriter(self.manifest, packs)
        self.recorded: list[int] = []
        self._write = FaceWriter(FaceFiles(output.uri, s3 or S3Settings(), "/photos", "glb", 0, pack))

    def expect(self) -> "Job":
        """Announce what the manifest does not have."""
        done = self.manifest.shards()
        for shard in self.shards:
            name = f"manifest/part-{shard.number:08d}.parquet"
            kept = self.manifest.read(name) if shard.number in done else None
            work = ShardWork.whole(shard) if kept is None else ShardWork.rest(shard, kept, retry_failed=True)
            if work.todo:
                self.writer.expect(work)
        return self

    def do(self, *places: int, text: bytes = b"faces=2") -> "Job":
        """Do photos in one call."""
        count = len(places)
        batch = {
            "photo_uri": np.array([self.shards[place // 8].photos[place % 8] for place in places], object),
            "photo_bytes": np.array([text] * count, object),
            "status": np.full(count, "ok", object),
            "error": np.full(count, "", object),
            "read_ms": np.ones(count, np.float32),
            "position": np.array(places),
            "shard": np.array(places) // 8,
        }
        for step in (ToyCropper(0.0), ToyRotator(), ToyReconstructor(), ToyExporter()):
            batch = step(batch)
        self.writer.add(self._write(batch), self.recorded.append)
        return self


def faces(photos: int) -> set[tuple[str, int]]:
    return {(f"p{number:02d}.jpg", face) for number in range(photos) for face in range(2)}


def test_hundred_faces_are_seven_packs_in_place_of_two_hundred_objects(
    output: OutputFolder, seaweed: S3Server
) -> None:
    s3 = seaweed.settings
    files = OutputFolder(f"{output.uri}-files", s3)
    jobs = [Job(output, 50, s3=s3).expect(), Job(files, 50, "none", s3=s3).expect()]
    for job in jobs:
        for first in range(0, 50, 5):
            job.do(*range(first, first + 5))
        assert job.writer.unfinished() == [] and sum(job.recorded) == 50
    assert [sum(1 for _ in folder.store.list()) for folder in (output, files)] == [7 + 7, 200 + 7]
    found = packed_faces(output)
    assert found.keys() == faces(50)
    for row in rows_of(files):
        twin = found[name_of(row["photo_uri"]), row["face_index"]]
        for kind in ("mesh", "preview"):
            assert read_face_file(output.store, twin, kind) == files.store.read(row[f"{kind}_uri"])


@pytest.mark.parametrize("killed_in", ["repacked", "assemble", "delete_others"])
def test_a_shard_whose_packing_is_killed_anywhere_is_whole_after_the_next_run(
    output: OutputFolder, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    s3 = seaweed.settings
    job = Job(output, 16, s3=s3).expect()
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        real = getattr(shard_packs, killed_in)

        def killed(*arguments: object) -> None:
            if killed_in == "assemble":
                real(*arguments)
            raise RuntimeError

        patch.setattr(shard_packs, killed_in, killed)
        job.do(3, 4, 5, 8, 9).do(0, 1, 2, 6, 7)
        job.writer.unfinished()
    again = Job(output, 16, s3=s3).expect()
    again.do(*range(8)).do(*range(8, 16)).do(0)
    assert again.writer.unfinished() == []
    output.clear_pieces()
    assert packed_faces(output).keys() == faces(16)


def test_a_stopped_job_keeps_complete_photos_in_a_pack_that_the_next_run_replaces(
    output: OutputFolder, seaweed: S3Server
) -> None:
    job = Job(output, 8, s3=seaweed.settings).expect().do(5, 1).do(1, 2)
    assert job.writer.begun() == [0]
    job.writer.flush()
    before = packed_faces(output)
    assert {name for name, _ in before} == {"p01.jpg", "p02.jpg", "p05.jpg"}
    again = Job(output, 8, s3=seaweed.settings).expect().do(0, 3, 4, 6, 7)
    assert again.writer.unfinished() == [] and sum(again.recorded) == 5
    after = packed_faces(output)
    assert after.keys() == faces(8)
    assert not {row["mesh_uri"] for row in before.values()} & {row["mesh_uri"] for row in after.values()}


def test_photos_done_again_that_have_no_face_any_more_leave_no_pack(output: OutputFolder, seaweed: S3Server) -> None:
    job = Job(output, 8, s3=seaweed.settings).expect().do(*range(8), text=b"rotate-fails")
    assert job.writer.unfinished() == [] and packed_faces(output) == {}
    assert Job(output, 8, s3=seaweed.settings).expect().do(*range(8)).writer.unfinished() == []
    assert packed_faces(output).keys() == faces(8)


def test_on_several_nodes_packs_are_made_by_tasks_and_their_errors_are_the_users(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_packs, "_has_several_nodes", lambda: True)
    monkeypatch.setattr(shard_packs, "assemble", None)
    output = OutputFolder(tmp_path / "out")
    assert Job(output, 8).expect().do(*range(8)).writer.unfinished() == []
    assert packed_faces(output).keys() == faces(8)
    job = Job(output, 16).expect()
    (tmp_path / "out/packs/pieces").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        job.do(*range(8, 16)).writer.unfinished()


def test_the_json_of_a_face_is_its_row_without_who_it_is_and_where_it_lies(tmp_path: Path) -> None:
    output = OutputFolder(tmp_path)
    assert Job(output, 8).expect().do(*range(8)).writer.unfinished() == []
    row = rows_of(output)[1]
    with tarfile.open(next(tmp_path.glob("packs/*.tar"))) as tar:
        file = tar.extractfile("p00.jpg/1.json")
        assert file is not None
        told = json.loads(file.read())
    assert told["photo_uri"] == row["photo_uri"] and told["face_index"] == 1 and told["shape"] == row["shape"]
    assert not told.keys() & {"mesh_uri", "mesh_offset", "timings", "descriptor", "shape_information", "error"}


@pytest.mark.slow
def test_a_job_packs_its_faces_and_another_way_needs_another_folder(
    ray_cluster: None, toy_photos: Photos, tmp_path: Path
) -> None:
    photos = {f"p{number:02d}": "faces=2" for number in range(20)}
    folder, out = toy_photos(**photos, bad="unreadable"), tmp_path / "out"
    assert run_toy(folder, out, **PACK).totals.rows == {"ok": 40, "unreadable": 1}
    assert packed_faces(OutputFolder(out)).keys() == faces(20)
    assert not (out / "meshes").exists()
    with pytest.raises(OutputError, match=r"export.pack was shard, now is None"):
        run_toy(folder, out)
    with pytest.raises(SettingsError, match="nothing to pack"):
        run_toy(folder, tmp_path / "new", **PACK, **{"export.meshes": False, "export.previews": False})
    OutputFolder(out).clear()
    assert not (out / "packs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_job_that_is_ended_is_continued_with_nothing_lost_doubled_or_left_over(
    ray_cluster: None, toy_photos: Photos, tmp_path: Path, end: signal.Signals
) -> None:
    folder, out = toy_photos(**{f"p{number:02d}": "faces=2" for number in range(60)}), tmp_path / "out"
    known = {"PYTHONPATH": str(Path(__file__).parents[2]), "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    job = subprocess.Popen(
        [sys.executable, toy_stages.__file__, str(folder), str(out), "0.1", "", "export.pack=shard"],
        env={**os.environ, **known},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 90
    while not (list(out.glob("manifest/part-*")) and list(out.glob("packs/pieces/*/*.tar"))):
        assert job.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    job.send_signal(end)
    job.communicate()
    if end == signal.SIGINT:
        assert packed_faces(OutputFolder(out)), "what was complete was packed before it ended"
    done = len({row["photo_uri"] for row in rows_of(OutputFolder(out))})
    assert 0 < done < 60
    assert run_toy(folder, out, **PACK).run.photos == 60 - done
    assert packed_faces(OutputFolder(out)).keys() == faces(60)

"""Meshes copied out of outputs, and made of rows and photos: the same bytes as the job's own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from s3_server import S3Server

from facerecon_ray.config.reconstruct import ChainSettings, ReconstructJob
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError, OutputError
from facerecon_ray.pipeline.face_files import FaceFiles, FaceWriter
from facerecon_ray.pipeline.meshes.job import run_export
from facerecon_ray.pipeline.meshes.request import ExportRequest
from facerecon_ray.pipeline.meshes.transfer import Exported
from facerecon_ray.pipeline.shard_packs import ShardPacks
from facerecon_ray.stages.chain import READ, RECONSTRUCT, ChainPart
from facerecon_ray.stages.export import Exporter
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.row_filter import RowFilter
from facerecon_ray.storage.run_record import load_record, new_record, save_record
from facerecon_ray.storage.s3_store import S3Store
from facerecon_ray.storage.schema import MANIFEST_SCHEMA

Outputs = Callable[..., str]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray, pair: np.ndarray) -> Path:
    """Outputs of jobs with meshes, with meshes in a pack and without, full, packed and rows, of a folder of two photos
    with three faces."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "photos").mkdir()
    for name, picture in (("pair", pair), ("large", cv2.resize(astronaut, None, fx=2.5, fy=2.5))):
        cv2.imwrite(str(folder / "photos" / f"{name}.jpg"), picture[..., ::-1])
    uris = np.array(sorted(map(str, (folder / "photos").iterdir())), object)
    batch = ChainPart(ChainSettings(), READ, RECONSTRUCT)({"photo_uri": uris})
    batch["position"] = batch["shard"] = np.zeros(len(batch["status"]), np.int64)
    for name, meshes, pack in (("full", True, "none"), ("packed", True, "shard"), ("rows", False, "none")):
        job = ReconstructJob.model_validate(
            {
                "input": str(folder / "photos"),
                "output": str(folder / name),
                "export": {"meshes": meshes, "previews": False, "pack": pack},
            }
        )
        files = FaceFiles(job.output, S3Settings(), str(folder / "photos"), "glb", 0, job.export.pack)
        rows = FaceWriter(files)(Exporter(job.export)(batch)).select(MANIFEST_SCHEMA.names)
        assert rows["status"].to_pylist() == ["ok"] * 3
        output = OutputFolder(job.output)
        ShardPacks(output, S3Settings(), lambda: None).begin(0, rows).result()
        save_record(output, new_record(job.model_dump(mode="json"), str(folder / "photos")))
    return folder


def export(source: object, target: object, where: str = "", **wanted: object) -> tuple[Exported, list[str]]:
    lines: list[str] = []
    rows = RowFilter(where) if where else None
    done = run_export(ExportRequest(str(source), str(target), rows, **wanted), lambda *_: None, lines.append)
    return done, lines


def meshes(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.glob("meshes/*/*"))}


def test_a_job_without_meshes_writes_rows_alone(job: Path) -> None:
    assert meshes(job / "full").keys() == {
        f"meshes/{name}" for name in ("large.jpg/0.glb", "pair.jpg/0.glb", "pair.jpg/1.glb")
    }
    assert meshes(job / "rows") == {} and not (job / "rows" / "viewer").exists()
    full, rows = (pq.read_table(job / name / "manifest") for name in ("full", "rows"))
    assert rows["mesh_uri"].null_count == 3
    same = [name for name in MANIFEST_SCHEMA.names if name not in ("mesh_uri", "timings")]
    assert full.select(same).equals(rows.select(same))


def test_meshes_made_of_rows_are_the_jobs_own_to_the_byte_and_made_once(job: Path, tmp_path: Path) -> None:
    done, lines = export(job / "rows", tmp_path)
    assert (done.made, done.copied, lines) == (3, 0, [])
    assert meshes(tmp_path) == meshes(job / "full")
    (tmp_path / "meshes/pair.jpg/1.glb").unlink()
    kept = (tmp_path / "meshes/pair.jpg/0.glb").stat().st_mtime_ns
    done, _ = export(job / "rows", tmp_path)
    assert (done.made, done.there) == (1, 2) and meshes(tmp_path) == meshes(job / "full")
    assert (tmp_path / "meshes/pair.jpg/0.glb").stat().st_mtime_ns == kept
    listed = pq.read_table(tmp_path / "exported.parquet").to_pylist()
    assert sorted((row["mesh"], row["photo_uri"], row["face_index"]) for row in listed) == [
        ("meshes/large.jpg/0.glb", str(job / "photos/large.jpg"), 0),
        ("meshes/pair.jpg/0.glb", str(job / "photos/pair.jpg"), 0),
        ("meshes/pair.jpg/1.glb", str(job / "photos/pair.jpg"), 1),
    ]


def test_meshes_are_made_of_photos_in_archives_too(job: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "cf", tmp_path / "photos.tar", "large.jpg", "pair.jpg"], cwd=job / "photos", check=True)
    rows = pq.read_table(job / "rows" / "manifest")
    uris = [uri.replace(f"{job}/photos/", f"{tmp_path}/photos.tar#") for uri in rows["photo_uri"].to_pylist()]
    source = OutputFolder(str(tmp_path / "rows"))
    Manifest(source).write(0, rows.set_column(0, MANIFEST_SCHEMA.field(0), pa.array(uris)))
    record = load_record(OutputFolder(str(job / "rows")).store)
    assert record
    save_record(source, record.model_copy(update={"photo_root": str(tmp_path)}))
    done, lines = export(tmp_path / "rows", tmp_path / "to")
    assert (done.made, lines) == (3, [])
    made = {
        name: (tmp_path / "to/meshes/photos.tar~" / name).read_bytes()
        for name in ("large.jpg/0.glb", "pair.jpg/1.glb")
    }
    assert made.items() <= {name.removeprefix("meshes/"): mesh for name, mesh in meshes(job / "full").items()}.items()


def test_meshes_of_a_condition_are_copied_into_a_bucket(job: Path, seaweed: S3Server) -> None:
    target = f"s3://{seaweed.bucket()}/some"
    done, _ = export(job / "full", target, "face_count = 2 and face_index = 1", s3=seaweed.settings)
    assert (done.copied, done.made) == (1, 0)
    store = OutputFolder(target, seaweed.settings).store
    assert store.read("meshes/pair.jpg/1.glb") == meshes(job / "full")["meshes/pair.jpg/1.glb"]
    assert [found.name for found in store.list("meshes/")] == ["meshes/pair.jpg/1.glb"]


def test_meshes_of_a_condition_are_read_out_of_a_pack_by_their_ranges(
    job: Path, tmp_path: Path, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, lines = export(job / "packed", tmp_path / "all")
    assert (done.copied, done.made, lines) == (3, 0, []) and meshes(tmp_path / "all") == meshes(job / "full")
    where = "face_count = 2 and face_index = 1"
    bucket = OutputFolder(f"s3://{seaweed.bucket()}/job", seaweed.settings)
    for file in (file for file in (job / "packed").rglob("*") if file.is_file()):
        bucket.write(str(file.relative_to(job / "packed")), file.read_bytes())
    ranges: list[int] = []
    read_range = S3Store.read_range

    def counted(store: S3Store, name: str, start: int, end: int) -> bytes:
        ranges.append(end - start)
        return read_range(store, name, start, end)

    monkeypatch.setattr(S3Store, "read_range", counted)
    for source, name in ((bucket.uri, "packed"), (job / "full", "full")):
        assert export(source, tmp_path / name, where, s3=seaweed.settings)[0].copied == 1
    assert meshes(tmp_path / "packed") == meshes(tmp_path / "full") and len(meshes(tmp_path / "full")) == 1
    assert ranges == [len(file) for file in meshes(tmp_path / "full").values()]


def test_photos_that_are_gone_or_others_now_are_a_line_each(job: Path, tmp_path: Path, astronaut: np.ndarray) -> None:
    pair, large = job / "photos/pair.jpg", job / "photos/large.jpg"
    kept = pair.read_bytes(), large.read_bytes()
    try:
        pair.write_bytes(kept[0] + b"\0")
        done, lines = export(job / "rows", tmp_path / "one")
        assert (done.made, done.failed) == (1, 2) and len(lines) == 2
        assert lines[0] == f"{pair}: face 0: the photo is another one than the job read"
        large.unlink()
        with pytest.raises(InputError, match="none of 3 meshes could be written"):
            export(job / "rows", tmp_path / "two")
    finally:
        pair.write_bytes(kept[0])
        large.write_bytes(kept[1])


def test_other_formats_are_made_and_do_not_mix(job: Path, tmp_path: Path) -> None:
    done, _ = export(job / "full", tmp_path, "face_index = 1", format="obj", topology="model")
    assert done.made == 1 and list(meshes(tmp_path)) == ["meshes/pair.jpg/1.obj"]
    with pytest.raises(OutputError, match="format was obj, now is ply"):
        export(job / "full", tmp_path, format="ply")


def test_what_a_network_made_is_copied_and_not_made(job: Path, tmp_path: Path) -> None:
    output = OutputFolder(job / "full")
    record = load_record(output.store)
    assert record is not None
    settings = json.loads(json.dumps(record.settings))
    settings["reconstruct"]["method"] = "two-view"
    save_record(output, record.model_copy(update={"settings": settings}))
    try:
        assert export(job / "full", tmp_path / "same")[0].copied == 3
        with pytest.raises(InputError, match=r"method is two-view.*--format ply"):
            export(job / "full", tmp_path / "other", format="ply")
    finally:
        save_record(output, record)


def test_mistakes_are_said_before_anything_is_written(job: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no face meets the condition"):
        export(job / "rows", tmp_path / "new", "quality > 2")
    with pytest.raises(OutputError, match="output of the job itself"):
        export(job / "rows", job / "rows")
    assert not (tmp_path / "new").exists()
    (tmp_path / "meshes").mkdir()
    with pytest.raises(OutputError, match="choose an empty folder"):
        export(job / "rows", tmp_path)

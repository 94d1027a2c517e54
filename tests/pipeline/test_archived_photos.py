"""Jobs on photos in archives: what comes out is what comes out for the same photos as files."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console
from toy_stages import run_toy

from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import load_job
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.pipeline.people.forgetting import forget
from facerecon_ray.pipeline.preparation import describe_photos, prepare
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.photos.photo_plan import PhotoPlan

pytestmark = pytest.mark.usefixtures("ray_cluster")

Photos = Callable[..., Path]


def pack(folder: Path, archive: Path) -> None:
    archive.parent.mkdir(exist_ok=True)
    subprocess.run(["tar", "cf", archive, *sorted(path.name for path in folder.iterdir())], cwd=folder, check=True)


def rows(output: Path, place: str) -> list[dict]:
    """Rows of photos in a place, named as there, without times and the names that follow from the photo's."""
    found = pq.read_table(output / "manifest").drop(["timings", "mesh_uri", "preview_uri"]).to_pylist()
    named = [row | {"photo_uri": row["photo_uri"].partition(place)[2]} for row in found if place in row["photo_uri"]]
    return sorted(named, key=lambda row: (row["photo_uri"], row["face_index"] or 0))


def job(tmp_path: Path) -> ReconstructJob:
    return load_job(ReconstructJob, None, {"input": f"{tmp_path}/packed", "output": f"{tmp_path}/out"})


@pytest.mark.slow
def test_photos_in_archives_give_what_they_give_as_files_and_archives_may_be_added(
    toy_photos: Photos, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = toy_photos(one="faces=1", two="faces=2", none="faces=0", bad="unreadable", turn="rotate-fails", empty="")
    pack(folder, tmp_path / "packed" / "x.tar")
    out, log = tmp_path / "out", tmp_path / "log"
    run_toy(tmp_path / "packed", out, limit=2, log=str(log))
    (_, shards), *_ = PhotoPlan(open_store(out), 256).stored()
    assert [span and (span.start, span.size) for span in shards[0].spans] == [(512, 10), (1536, 0)]
    pack(toy_photos(late="faces=1"), tmp_path / "packed" / "y.tar")
    folder.rename(tmp_path / "packed" / "loose")
    describe_photos(Console(), prepared := prepare(job(tmp_path)), *prepared.count())
    assert "20 photos in" in (said := capsys.readouterr().out) and "2 of them are done" in said
    run_toy(tmp_path / "packed", out, log=str(log))
    begun = [name.rpartition("#")[2] for name in log.read_text().split()]
    names = ["bad", "late", "none", "one", "turn", "two"]
    assert sorted(begun) == sorted(f"{name}.jpg" for name in [*names, *names, *set(names) - {"late"}])
    assert rows(out, "x.tar#") == [row for row in rows(out, "loose/") if row["photo_uri"] != "late.jpg"]
    assert rows(out, "y.tar#") == rows(out, "loose/")
    assert (out / "meshes/x.tar~/two.jpg/1.glb").read_bytes() == b"mesh of x.tar#two.jpg/1"
    assert "x.tar#two.jpg" in (out / "index.html").read_text()
    gone = forget(str(out), [f"{tmp_path}/packed/x.tar#two.jpg"], None, S3Settings())
    assert (gone.rows, gone.files) == (2, 6) and len(list(out.rglob("two.jpg/*.glb"))) == 4
    gone = forget(str(out), [f"{tmp_path}/packed/x.tar"], None, S3Settings())
    assert (gone.rows, gone.files) == (5, 3) and not list(out.rglob("x.tar*"))

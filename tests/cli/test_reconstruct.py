import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray
from s3_server import CREDENTIALS, S3Server

from facerecon_ray.cli import main
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.run_record import load_record

PHOTOS = Path(__file__).parents[2] / "facerecon_ray" / "assets" / "photos"


def facerecon(*arguments: object, cwd: Path, **others: str) -> subprocess.CompletedProcess[str]:
    known = {**environment(), **others}
    return subprocess.run(command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=240, env=known)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from facerecon_ray.cli import start; start()", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PHOTOS.parents[2]), "COLUMNS": "150"}


@pytest.fixture
def running(ray_cluster: None) -> dict[str, str]:
    """Variables with which a command uses the tests' cluster: starting one of its own takes seconds."""
    return {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Bundled portraits and files that give no face."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in sorted(PHOTOS.glob("*.jpg"))[:2]:
        shutil.copy(photo, folder)
    (folder / "broken.jpg").write_bytes(next(folder.glob("*.jpg")).read_bytes()[:2000])
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("x")
    return folder


def test_help_names_the_commands_and_loads_nothing_heavy(tmp_path: Path):
    script = "import sys, facerecon_ray.cli; print({'torch', 'ray', 'pyarrow', 'pydantic'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True)
    assert loaded.stdout.strip() == "set()"
    shown = facerecon("--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in ("reconstruct", "demo", "model"))
    assert "Examples" in facerecon("reconstruct", "--help", cwd=tmp_path).stdout


def test_version_is_printed(tmp_path: Path):
    assert facerecon("--version", cwd=tmp_path).stdout.startswith("facerecon ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing", "-o", "out"], "no such file or folder"),
        (["gs://bucket/photos", "-o", "out"], "gs:// is not supported"),
        (["s3://bucket/photos", "-o", "out", "--endpoint-url", "host:1"], "'s3.endpoint_url': write http://HOST:PORT"),
        (["nothing", "-o", "out"], "no photo found"),
        (["photos"], "setting 'output': "),
        (["-o", "out"], "setting 'input': "),
        (["photos", "-o", "photos/notes.txt"], "is not a folder"),
        (["photos", "-o", "taken"], "meshes in it is not the result of a job"),
        (["photos", "-o", "out", "--set", "rotate.jaw=3"], "'rotate.jaw': there is no such setting"),
        (["photos", "-o", "out", "--config", "missing.yaml"], "missing.yaml: No such file"),
        (["photos", "-o", "out", "--method", "two-view", "--weights", "w.safetensors"], "w.safetensors: No such file"),
        (["photos", "-o", "out", "--limit", "0"], "'limit': "),
        (["photos", "-o", "out", "--set", "input.foo=1"], "'input' is a value"),
        (["photos", "-o", "out", "--set", "limit=2026-13-01"], "not valid YAML"),
        (["n" * 300, "-o", "out"], "File name too long"),
        (["circle/photo.jpg", "-o", "out"], "links that lead in a circle"),
        (["photos", "-o", "circle/out"], "output "),
        (["photos", "-o", "n" * 300], "output "),
        (["photos", "-o", "photos/notes.txt/out"], "is not a folder"),
        (["photos", "-o", "out", "--set", "fitter=" + "n" * 300], "File name too long"),
        (["photos", "--pairs", "pairs.csv", "-o", "out"], "name an INPUT or a list of pairs"),
        (["--pairs", "missing.csv", "-o", "out"], "missing.csv: no such file"),
        (["--pairs", "photos", "-o", "out"], "photos: no such file; a list of pairs is a .csv file"),
        (["pairs.csv", "-o", "out"], "it is a list of pairs; name it with --pairs"),
        (["--pairs", "pairs.csv", "-o", "out"], "a.jpg is front and side of one pair"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2_and_writes_nothing(
    photos: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facerecon", "reconstruct", *arguments])
    (tmp_path / "nothing").mkdir()
    (tmp_path / "taken" / "meshes").mkdir(parents=True)
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "pairs.csv").write_text("front,side\na.jpg,a.jpg\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 2
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert stderr.startswith("error: ") and stderr.count("\n") == 1 and message in stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_dry_run_says_what_would_happen_and_writes_nothing(photos: Path, tmp_path: Path):
    before = sorted(tmp_path.rglob("*"))
    result = facerecon("reconstruct", photos, "-o", "out", "--set", "pools.crop.workers=3", "--dry-run", cwd=tmp_path)
    assert result.returncode == 0
    assert f"4 photos in {photos}; other files passed over: 1" in result.stderr
    assert all(stage in result.stdout for stage in ("read", "crop", "rotate", "reconstruct", "export"))
    assert f"About 13 objects in the output\nWould write to {tmp_path / 'out'}" in result.stdout
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_pairs_become_a_mesh_each_and_say_what_is_wrong_with_their_sides(
    photos: Path, running: dict[str, str], tmp_path: Path
):
    from PIL import Image

    front = sorted(PHOTOS.glob("*.jpg"))[0].name
    Image.open(photos / front).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / "side.png")
    Image.new("RGB", (400, 300), "grey").save(photos / "wall.png")
    shutil.copy(photos / front, photos / "again.jpg")
    shutil.copy(photos / front, photos / "third.jpg")
    rows = [f"{front},side.png", "again.jpg,wall.png", "third.jpg,missing.png"]
    (photos / "pairs.csv").write_text("\n".join(["front,side", *rows]))
    result = facerecon("reconstruct", "--pairs", "photos/pairs.csv", "--output", "out", cwd=tmp_path, **running)
    assert result.returncode == 0, result.stderr
    assert "3 pairs in" in result.stderr
    manifest = {Path(row["photo_uri"]).name: row for row in pq.read_table(tmp_path / "out" / "manifest").to_pylist()}
    assert {name: (row["status"], row["error"]) for name, row in manifest.items()} == {
        front: ("ok", None),
        "again.jpg": ("failed", "side photo: no face was found"),
        "third.jpg": ("unreadable", "side photo: the file does not exist"),
    }
    good = manifest[front]
    assert good["side_photo_uri"] == str(photos / "side.png") and 0 < good["side_distance"] < 0.6
    assert (tmp_path / "out" / good["mesh_uri"]).read_bytes()[:4] == b"glTF"
    assert good["rotated_yaw"] == pytest.approx(-good["pose"]["yaw"], abs=3)
    page = (tmp_path / "out" / "index.html").read_text()
    assert f"{front} + side.png" in page and "faces apart" in page
    assert manifest["again.jpg"]["landmarks"] is not None


def test_photos_become_meshes_without_a_word_from_ray(photos: Path, tmp_path: Path):
    result = facerecon("reconstruct", photos, "--output", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = {Path(row["photo_uri"]).name: row for row in pq.read_table(tmp_path / "out" / "manifest").to_pylist()}
    assert {name: row["status"] for name, row in rows.items()} == {
        **{photo.name: "ok" for photo in sorted(PHOTOS.glob("*.jpg"))[:2]},
        "broken.jpg": "unreadable",
        "empty.png": "unreadable",
    }
    for row in rows.values():
        if row["status"] == "ok":
            assert (tmp_path / "out" / row["mesh_uri"]).read_bytes()[:4] == b"glTF"
            assert (tmp_path / "out" / row["preview_uri"]).read_bytes()[:3] == b"\xff\xd8\xff"
            assert row["quality"] is not None and row["timings"]["rotate"] > 0
    assert f"Open {(tmp_path / 'out' / 'index.html').as_uri()}" in result.stdout
    assert "empty.png: the file is empty" in result.stderr
    lines = [line for line in result.stderr.splitlines() if "faces" not in line]
    assert all(line.startswith(("4 photos", "unreadable: ", "waiting for ")) for line in lines)


@pytest.mark.slow
def test_photos_in_a_bucket_become_meshes_in_a_bucket(
    photos: Path, seaweed: S3Server, running: dict[str, str], tmp_path: Path
):
    root = f"s3://{seaweed.bucket()}"
    store = open_store(root, seaweed.settings)
    for photo in photos.iterdir():
        store.write(f"photos/{photo.name}", photo.read_bytes())
    arguments = ("reconstruct", f"{root}/photos", "-o", f"{root}/out", "--endpoint-url", seaweed.endpoint)
    dry = facerecon(*arguments, "--dry-run", cwd=tmp_path)
    assert dry.returncode == 0, dry.stderr
    assert f"4 photos in {root}/photos; other files passed over: 1" in dry.stderr
    assert [found.name for found in store.list("out")] == []
    result = facerecon(*arguments, cwd=tmp_path, **running)
    assert result.returncode == 0, result.stderr
    assert f"Open {root}/out/index.html" in result.stdout
    names = {found.name for found in store.list("out/")}
    good = [photo.name for photo in photos.glob("*.jpg") if photo.name != "broken.jpg"]
    assert {f"out/meshes/{name}/0.glb" for name in good} | {"out/index.html", "out/run.json"} <= names
    assert "out/.facerecon.lock" not in names and list(tmp_path.iterdir()) == [photos]
    said = result.stdout + result.stderr + store.read("out/run.json").decode()
    assert not any(secret in said for secret in CREDENTIALS.values())


def test_an_interrupt_is_exit_code_130_and_says_how_to_go_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("facerecon_ray.pipeline.reconstruct.run_reconstruct", interrupted)
    monkeypatch.setattr(sys, "argv", ["facerecon", "reconstruct", str(photos), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 130
    assert "The same command continues" in capsys.readouterr().err


@pytest.mark.slow
def test_a_job_of_which_every_row_failed_is_no_success(running: dict[str, str], tmp_path: Path):
    for name in ("broken.jpg", "empty.png", "#1.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"x" * (name != "empty.png"))
    for _ in range(2):
        result = facerecon("reconstruct", "photos", "-o", "out", cwd=tmp_path, **running)
        assert result.returncode == 2
        assert "error: none of 3 photos could be used" in result.stderr and "index.html" in result.stdout
    record = load_record(open_store(tmp_path / "out"))
    assert record is not None and [run.outcome for run in record.runs] == ["failed", "failed"]


@pytest.mark.slow
def test_ctrl_c_stops_with_130_and_the_same_command_finishes_the_job(running: dict[str, str], tmp_path: Path):
    folder, portrait = tmp_path / "photos", min(PHOTOS.glob("*.jpg"))
    folder.mkdir()
    for number in range(10):
        shutil.copy(portrait, folder / f"{number}.jpg")
    arguments = ("reconstruct", folder, "-o", "out", "--set", "export.previews=false")
    job = subprocess.Popen(
        command(*arguments), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert job.stderr is not None
    while "faces" not in (line := job.stderr.readline()):
        assert line, "the job ended before its first face"
    os.killpg(job.pid, signal.SIGINT)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 130
    assert "The same command continues" in errors and "Traceback" not in errors
    assert facerecon(*arguments, cwd=tmp_path, **running).returncode == 0
    uris = pq.read_table(tmp_path / "out" / "manifest", columns=["photo_uri"])["photo_uri"].to_pylist()
    assert sorted(uris) == sorted(str(folder / f"{number}.jpg") for number in range(10))
    record = load_record(open_store(tmp_path / "out"))
    assert record is not None and [run.outcome for run in record.runs] == ["stopped", "finished"]


def test_model_build_names_the_missing_package(tmp_path: Path):
    hide = "import sys; sys.modules['anny'] = None; from facerecon_ray.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", hide, "model", "build", "--output", "model.npz"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2 and "error: " in result.stderr and "anny" in result.stderr
    assert list(tmp_path.iterdir()) == []

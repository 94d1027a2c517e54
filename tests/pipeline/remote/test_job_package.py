import shlex
from pathlib import Path

import pytest
import yaml

from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import load_job
from facerecon_ray.errors import SettingsError
from facerecon_ray.pipeline.remote.job_package import JobPackage, job_kind, package_job

PLACES = {"input": "s3://bucket/photos", "output": "s3://bucket/meshes"}
FILES = sorted((Path(__file__).parents[3] / "jobs").glob("*.yaml"))
JOB_FILES = [path for path in FILES if "command" in yaml.safe_load(path.read_text())]


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Package a job file of some settings in a folder where the relative files lie."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "package").mkdir()

    def call(settings: dict, assignments: list[str] | None = None, **options) -> JobPackage:
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"command": "reconstruct", **settings}))
        arguments = {"with_code": False, **options}
        return package_job(Path("mine.yaml"), assignments or [], tmp_path / "package", **arguments)

    return call


def packed(package: JobPackage) -> dict:
    return yaml.safe_load((package.folder / "job.yaml").read_text())


def test_the_command_runs_the_packed_job_file(pack):
    package = pack(PLACES, options=["--retry-failed"])
    assert shlex.split(package.entrypoint) == [
        *["python", "-m", "facerecon_ray", "reconstruct", "--config", "job.yaml", "--retry-failed"]
    ]
    assert package.metadata == {"command": "reconstruct", "output": "s3://bucket/meshes"}
    assert packed(package) == {"command": "reconstruct", **PLACES}


def test_settings_of_the_command_line_win_over_the_file(pack):
    package = pack(PLACES, ["output=s3://bucket/other", "rotate.yaw_change=20", "pools.rotate={gpus: 1}"])
    job = load_job(ReconstructJob, package.folder / "job.yaml", {})
    assert job.rotate.yaw_change == 20 and job.pools.rotate.gpus == 1
    assert str(job.output) == package.metadata["output"] == "s3://bucket/other"


def test_files_that_settings_name_travel_with_the_job_and_absolute_ones_do_not(pack, tmp_path: Path):
    (tmp_path / "list.txt").write_text("s3://bucket/a.jpg\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.npz").write_bytes(b"model")
    settings = {**PLACES, "input": "list.txt", "face_model": "models/mine.npz"}
    settings["crop"] = {"landmark_model": "/opt/models/points.dat"}
    package = pack(settings)
    tree = packed(package)
    assert (package.folder / tree["input"]).read_text() == "s3://bucket/a.jpg\n"
    assert (package.folder / tree["face_model"]).read_bytes() == b"model"
    assert tree["crop"] == {"landmark_model": "/opt/models/points.dat"}
    assert Path(tree["input"]).name == "list.txt", "its suffix says that it is a list"


def test_the_package_travels_only_when_the_nodes_do_not_have_it(pack):
    assert not (pack(PLACES).folder / "facerecon_ray").exists()
    folder = pack(PLACES, with_code=True).folder
    assert (folder / "facerecon_ray" / "assets" / "face_model.npz").is_file()
    assert not list(folder.rglob("__pycache__"))
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 65e6


def test_the_store_that_this_machine_uses_is_the_one_that_the_job_uses(pack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store:9000")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert packed(pack(PLACES))["s3"] == {"endpoint_url": "http://store:9000", "region": "eu-west-3"}
    chosen = packed(pack({**PLACES, "s3": {"time_limit": 9}}, ["s3.endpoint_url=http://other:9000"]))
    assert chosen["s3"] == {"endpoint_url": "http://other:9000", "region": "eu-west-3", "time_limit": 9}


def test_weights_in_a_list_of_models_travel(pack, tmp_path: Path):
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    models = ["fitted", "two-view=w.safetensors", "w.safetensors", "prnet=/opt/p.safetensors"]
    package = pack({"command": "evaluate", "output": "s3://bucket/evaluation", "models": models})
    fitted, named, plain, absolute = packed(package)["models"]
    assert (fitted, absolute) == ("fitted", "prnet=/opt/p.safetensors")
    for path in (named.removeprefix("two-view="), plain):
        assert (package.folder / path).read_bytes() == b"weights"


@pytest.mark.parametrize("entries", ["s3://bucket/a.jpg\n/shared/b.jpg\n", "\nfile:///shared/c.jpg\n"])
def test_a_list_of_photos_that_the_cluster_can_see_travels(pack, tmp_path: Path, entries: str):
    (tmp_path / "list.txt").write_text(entries)
    package = pack({**PLACES, "input": "list.txt"})
    assert (package.folder / packed(package)["input"]).read_text() == entries


def test_a_list_of_photos_of_this_machine_is_refused(pack, tmp_path: Path):
    (tmp_path / "list.csv").write_text("photo_uri,who\ns3://bucket/a.jpg,x\nphotos/b.jpg,y\n")
    with pytest.raises(
        SettingsError, match=r"list list\.csv names photos/b\.jpg, a file of this machine; write s3://"
    ):
        pack({**PLACES, "input": "list.csv"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input": "photos.tar"}, "'input': photos.tar holds photos of this machine, and is too large to travel"),
        ({"input": "{0..9}.tar"}, r"'input': \{0\.\.9\}\.tar is no file that could travel"),
        ({"input": "photos"}, "'input': photos is no file that could travel.*use s3://"),
        ({"output": "out"}, "'output': out, a folder of this machine; use s3://"),
        ({"output": "mine.yaml"}, "'output': mine.yaml, a folder of this machine"),
        (
            {"command": "evaluate", "input": None, "output": None},
            "without a value it is evaluation, a folder",
        ),
        ({"command": "evaluate", "input": None, "models": ["w.safetensors"]}, "'models': w.safetensors is no file"),
        ({"command": "synthesize", "input": None, "profile": "people"}, "'profile': people, a folder of this machine"),
        ({"command": "synthesize", "input": None, "textures": {"cache": "c"}}, "'textures.cache': c, a folder"),
        (
            {
                "command": "synthesize",
                "input": None,
                "imports": {"layout": "facegen", "folder": "f", "face_model": "/"},
            },
            "'imports.folder': f is no file",
        ),
        ({"output": "gs://bucket/out"}, "'output': gs:// is not supported"),
        ({"reconstruct": {"method": "two-view", "weights": "nowhere.safetensors"}}, "'reconstruct.weights': nowhere"),
        ({"rotate": {"jaw_change": 3}}, "'rotate.jaw_change': there is no such setting"),
        ({"command": ["fly"]}, "no line `command: NAME`"),
        (
            {"command": "fly"},
            "no line `command: NAME`; NAME is one of reconstruct, synthesize, evaluate, people, train",
        ),
    ],
)
def test_what_cannot_work_on_a_cluster_is_refused_here(pack, settings: dict, message: str):
    Path("photos.tar").write_bytes(b"x")
    with pytest.raises(SettingsError, match=message):
        pack({**PLACES, **settings})


def test_a_value_in_a_setting_that_is_no_group_is_refused(pack):
    with pytest.raises(SettingsError, match="'input' is a value, not a group"):
        pack(PLACES, ["input.foo=1"])


def test_a_job_file_for_another_command_is_refused_by_name(tmp_path: Path):
    (tmp_path / "job.yaml").write_text("command: synthesize\noutput: out\n")
    with pytest.raises(SettingsError, match="it is for `facerecon synthesize`, not for `facerecon reconstruct`"):
        load_job(ReconstructJob, tmp_path / "job.yaml", {})


@pytest.mark.parametrize("path", JOB_FILES, ids=lambda path: path.name)
def test_every_job_file_of_the_project_is_valid(path: Path):
    load_job(job_kind(yaml.safe_load(path.read_text())), path, {})


@pytest.mark.parametrize("path", JOB_FILES, ids=lambda path: path.name)
def test_every_job_file_of_the_project_can_be_submitted(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(path.parents[1])
    tree = yaml.safe_load(path.read_text())
    places = [
        f"{name}=s3://bucket/{name}"
        for name in ("input", "output", "history", "data")
        if isinstance(tree.get(name), str)
    ]
    package = package_job(path, places, tmp_path, with_code=False)
    assert package.metadata["command"] == tree["command"]


def test_a_list_of_people_travels_unless_it_names_photos_of_this_machine(pack, tmp_path: Path):
    settings = {"command": "people", "input": "s3://bucket/meshes", "output": "s3://bucket/people"}
    (tmp_path / "groups.csv").write_text("person;photo\nAnn;s3://bucket/a.jpg\nAnn;/nfs/b.mp4#t=1.500\n")
    package = pack({**settings, "groups": "groups.csv"})
    assert (package.folder / packed(package)["groups"]).read_text().startswith("person;photo")
    (tmp_path / "groups.csv").write_text("photo,person\ns3://bucket/a.jpg,Ann\nphotos/b.jpg,Ann\n")
    refusal = r"setting 'groups': list groups\.csv names photos/b\.jpg, a file of this machine; write s3://"
    with pytest.raises(SettingsError, match=refusal):
        pack({**settings, "groups": "groups.csv"})

from pathlib import Path

import pytest

from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import load_job, parse_assignment
from facerecon_ray.errors import SettingsError

BASE = {"input": "photos", "output": "out"}
JOB_FILES = sorted((Path(__file__).parents[2] / "jobs").glob("*.yaml"))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_overrides_win_over_the_file_and_the_rest_of_the_file_stays(tmp_path: Path):
    path = write(tmp_path / "job.yaml", "input: a\noutput: b\nrotate: {yaw_change: 20, keep_pitch: false}\n")
    job = load_job(ReconstructJob, path, {"rotate.yaw_change": 40, "output": "c"})
    assert (job.input, job.output.name) == ("a", "c")
    assert (job.rotate.yaw_change, job.rotate.keep_pitch) == (40, False)


def test_empty_groups_of_a_job_file_mean_defaults(tmp_path: Path):
    path = write(tmp_path / "job.yaml", "input: a\noutput: b\nrotate:\n  # yaw_change: 20\npools:\n")
    assert load_job(ReconstructJob, path, {"pools.crop.workers": 3}).pools.crop.workers == 3


def test_relative_paths_start_at_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    job = load_job(ReconstructJob, None, {**BASE, "reconstruct.weights": "w.safetensors"})
    assert job.output == tmp_path / "out" and job.reconstruct.weights == tmp_path / "w.safetensors"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"rotate.jaw_change": 3}, "'rotate.jaw_change': there is no such setting"),
        ({"turn.yaw": 3}, "'turn': there is no such setting"),
        ({"rotate.yaw_change": 300}, "'rotate.yaw_change': .*less than or equal to 90"),
        ({"pools.crop.workers": "many"}, "'pools.crop.workers': .*integer"),
        ({"export.format": "stl"}, "'export.format': .*'glb', 'obj' or 'ply'"),
        ({"input.deep": 1}, "'input' is a value"),
        ({"input": None}, "'input'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(overrides: dict, message: str):
    with pytest.raises(SettingsError, match=message):
        load_job(ReconstructJob, None, {**BASE, **overrides})


@pytest.mark.parametrize("text", ["- a\n- b\n", "input: [", "just text"])
def test_a_job_file_that_is_no_mapping_is_one_clear_error(tmp_path: Path, text: str):
    with pytest.raises(SettingsError, match=r"job\.yaml"):
        load_job(ReconstructJob, write(tmp_path / "job.yaml", text), BASE)


def test_a_missing_job_file_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: No such file"):
        load_job(ReconstructJob, tmp_path / "nowhere.yaml", BASE)


def test_assignments_have_the_types_of_their_yaml():
    assert parse_assignment("rotate.yaw_change=20") == ("rotate.yaw_change", 20)
    assert parse_assignment("export.previews=false") == ("export.previews", False)
    assert parse_assignment("input=a=b.jpg") == ("input", "a=b.jpg")


@pytest.mark.parametrize("text", ["rotate.yaw_change", "=3", "a=["])
def test_an_assignment_that_is_none_is_refused(text: str):
    with pytest.raises(SettingsError, match="--set"):
        parse_assignment(text)


@pytest.mark.parametrize("path", JOB_FILES, ids=lambda path: path.name)
def test_job_files_that_come_with_the_project_are_valid(path: Path):
    load_job(ReconstructJob, path, {})

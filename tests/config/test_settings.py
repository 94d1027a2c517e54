from pathlib import Path

import pytest

from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import load_job, parse_assignment, read_job_file
from facerecon_ray.errors import SettingsError

BASE = {"input": "photos", "output": "out"}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_overrides_win_over_the_file_and_the_rest_of_the_file_stays(tmp_path: Path):
    path = write(tmp_path / "job.yaml", "input: a\noutput: b\nrotate: {yaw_change: 20, keep_pitch: false}\n")
    job = load_job(ReconstructJob, path, {"rotate.yaw_change": 40, "output": "c"})
    assert (job.input, Path(job.output).name) == ("a", "c")
    assert (job.rotate.yaw_change, job.rotate.keep_pitch) == (40, False)


def test_empty_groups_of_a_job_file_mean_defaults(tmp_path: Path):
    path = write(tmp_path / "job.yaml", "input: a\noutput: b\nrotate:\n  # yaw_change: 20\npools:\n")
    assert load_job(ReconstructJob, path, {"pools.crop.workers": 3}).pools.crop.workers == 3


def test_relative_paths_start_at_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    job = load_job(ReconstructJob, None, {**BASE, "reconstruct.weights": "w.safetensors"})
    assert job.output == str(tmp_path / "out") and job.reconstruct.weights == tmp_path / "w.safetensors"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"rotate.jaw_change": 3}, "'rotate.jaw_change': there is no such setting"),
        ({"turn.yaw": 3}, "'turn': there is no such setting"),
        ({"rotate.yaw_change": 300}, "'rotate.yaw_change': .*less than or equal to 90"),
        ({"pools.crop.workers": "many"}, "'pools.crop.workers': .*integer"),
        ({"export.format": "stl"}, "'export.format': .*'glb', 'obj' or 'ply'"),
        ({"input.deep": 1}, "'input' is a value"),
        ({"input": "a\0b", "output": "a\0b"}, "'output': .*no NUL character"),
        ({"fitter": "a\0b"}, "'fitter': .*no NUL character"),
        ({"pools.crop.gpus": float("inf")}, "'pools.crop.gpus': .*finite number"),
        ({"crop.min_score": float("nan")}, "'crop.min_score': .*finite number"),
        ({"input": None}, "'input'"),
        ({"people.enabled": True, "export.format": "ply"}, "people.enabled: .*which ply files do not have"),
        ({"people.enabled": True, "export.meshes": False}, "people.enabled: .*export.meshes false does not write"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(overrides: dict, message: str):
    with pytest.raises(SettingsError, match=message):
        load_job(ReconstructJob, None, {**BASE, **overrides})


def test_a_value_in_a_setting_that_is_no_group_is_refused_in_whatever_order_they_are_given():
    with pytest.raises(SettingsError, match="'input' is a value"):
        load_job(ReconstructJob, None, {"input.deep": 1, **BASE})


def test_a_home_is_where_the_shell_finds_one_and_else_a_plain_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/homes/me")
    job = load_job(ReconstructJob, None, {"input": "p", "output": "~nosuch/x", "fitter": "~/w", "face_model": "~m"})
    assert (job.output, job.fitter, job.face_model) == (
        str(tmp_path / "~nosuch/x"),
        Path("/homes/me/w"),
        tmp_path / "~m",
    )


@pytest.mark.parametrize(
    "text", ["- a\n- b\n", "input: [", "just text", "limit: 2026-13-01", "1: 2", "a: 0b_", "[" * 3000, "input: \x00"]
)
def test_a_job_file_that_is_no_mapping_is_one_clear_error(tmp_path: Path, text: str):
    with pytest.raises(SettingsError, match=r"job\.yaml"):
        load_job(ReconstructJob, write(tmp_path / "job.yaml", text), BASE)


def test_a_setting_that_a_job_file_has_twice_is_named(tmp_path: Path):
    path = tmp_path / "job.yaml"
    path.write_text("input: photos\ncrop: {min_size: 1, min_size: 2}\n")
    with pytest.raises(SettingsError, match=r"job file .*: 'min_size' is there twice"):
        read_job_file(path)


def test_a_missing_job_file_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: No such file"):
        load_job(ReconstructJob, tmp_path / "nowhere.yaml", BASE)


def test_a_tab_in_a_job_file_is_named_with_its_line(tmp_path: Path):
    path = write(tmp_path / "job.yaml", "input: a\noutput: b\nrotate:\n\tyaw_change: 20\n")
    with pytest.raises(SettingsError, match=r"job\.yaml: not valid YAML: line 4: .*cannot start any token"):
        load_job(ReconstructJob, path, {})


def test_assignments_have_the_types_of_their_yaml():
    assert parse_assignment("rotate.yaw_change=20") == ("rotate.yaw_change", 20)
    assert parse_assignment("export.previews=false") == ("export.previews", False)
    assert parse_assignment("input=a=b.jpg") == ("input", "a=b.jpg")


@pytest.mark.parametrize("text", ["rotate.yaw_change", "=3", "a=[", "limit=2026-13-01", "a=0b_"])
def test_an_assignment_that_is_none_is_refused(text: str):
    with pytest.raises(SettingsError, match="--set"):
        parse_assignment(text)


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        ({"min": 3, "max": 1}, "'pools.crop.workers': min 3 is more than max 1"),
        ({"min": 3}, r"'pools.crop.workers.max': Field required"),
        (0, "'pools.crop.workers': expected an integer of at least 1, {min: M, max: N}, or null"),
        (True, "'pools.crop.workers': expected an integer"),
    ],
)
def test_workers_are_a_number_or_a_range(workers: object, message: str):
    assert load_job(ReconstructJob, None, {**BASE, "pools.crop.workers": {"max": 4}}).pools.crop.workers.min == 1
    with pytest.raises(SettingsError, match=message):
        load_job(ReconstructJob, None, {**BASE, "pools.crop.workers": workers})


def test_several_gpus_of_a_worker_are_whole_ones():
    assert load_job(ReconstructJob, None, {**BASE, "pools.crop.gpus": 0.5}).pools.crop.gpus == 0.5
    with pytest.raises(SettingsError, match="more than one GPU must be a whole number"):
        load_job(ReconstructJob, None, {**BASE, "pools.crop.gpus": 1.5})

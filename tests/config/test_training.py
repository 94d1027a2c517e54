from pathlib import Path

import pytest

from facerecon_ray.config.training import (
    NETWORKS,
    SMOKE,
    FitterTraining,
    RotatorTraining,
    TwoViewTraining,
    train_job,
)
from facerecon_ray.errors import SettingsError

JOBS = Path(__file__).parents[2] / "jobs"
PLACES = {"data": "pairs", "output": "out"}


def test_every_network_has_settings_that_need_only_places() -> None:
    assert sorted(NETWORKS) == ["detector", "fitter", "prnet", "rotator", "two-view"]
    for network in NETWORKS:
        job = train_job(network, None, None, PLACES)
        assert (job.network, job.data, type(job)) == (network, str(Path("pairs").absolute()), NETWORKS[network])
        assert Path(job.output).is_absolute()


@pytest.mark.parametrize(
    ("network", "preset", "overrides", "message"),
    [
        ("mobilenet", None, PLACES, "network 'mobilenet': choose from detector, fitter, two-view, prnet, rotator"),
        (None, None, PLACES, "no network is named: choose from detector, fitter, two-view, prnet, rotator"),
        ("fitter", "quick", PLACES, "preset 'quick': there is smoke"),
        ("fitter", None, {"output": "out"}, "setting 'data'"),
        ("fitter", None, {"data": "pairs"}, "setting 'output'"),
        ("fitter", None, PLACES | {"steps": 100}, "optimizer.warmup 200 must be less than steps 100"),
        ("fitter", None, PLACES | {"fit": True}, "setting 'fit': there is no such setting"),
        ("two-view", None, PLACES | {"losses.mask": "eyes"}, r"setting 'losses\.mask'"),
        ("rotator", None, PLACES | {"regime": "none"}, "setting 'regime'"),
        ("prnet", None, PLACES | {"optimizer.average": 1.0}, r"setting 'optimizer\.average'"),
    ],
)
def test_mistakes_name_the_setting(
    network: str | None, preset: str | None, overrides: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        train_job(network, preset, None, overrides)


def test_a_job_file_for_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("command: train\nnetwork: prnet\nsteps: 900\n")
    with pytest.raises(SettingsError, match=r"job\.yaml: it trains prnet, not fitter"):
        train_job("fitter", None, path, PLACES)
    assert train_job("prnet", None, path, PLACES).steps == 900


def test_without_a_name_the_job_files_network_is_trained(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("network: rotator\n")
    assert isinstance(train_job(None, None, path, PLACES), RotatorTraining)
    path.write_text("network: mobilenet\n")
    with pytest.raises(SettingsError, match="network 'mobilenet': choose from"):
        train_job(None, None, path, PLACES)


@pytest.mark.parametrize("path", sorted(JOBS.glob("train_*.yaml")), ids=lambda path: path.stem)
def test_the_job_files_for_training_are_valid(path: Path) -> None:
    job = train_job(None, None, path, {})
    assert f"train_{job.network.replace('-', '_')}" == path.stem


def test_a_job_file_for_another_command_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("command: reconstruct\n")
    with pytest.raises(SettingsError, match="it is for `facerecon reconstruct`, not for `facerecon train`"):
        train_job("fitter", None, path, PLACES)


def test_the_command_line_wins_over_the_preset_and_the_preset_over_the_job_file(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("steps: 900\nbatch_size: 32\nseed: 5\noptimizer: {clip: 3.0, warmup: 50}\n")
    job = train_job("two-view", "smoke", path, {**PLACES, "batch_size": 3})
    assert (job.steps, job.batch_size, job.seed) == (SMOKE["steps"], 3, 5)
    assert (job.optimizer.warmup, job.optimizer.clip) == (SMOKE["optimizer.warmup"], 3.0)


def test_only_the_fitter_moves_its_crops() -> None:
    fitter, two_view = FitterTraining(**PLACES).augmentation, TwoViewTraining(**PLACES).augmentation
    assert (fitter.shift, fitter.zoom, fitter.roll) != (0.0, 1.0, 0.0)
    assert (two_view.shift, two_view.zoom, two_view.roll, two_view.mirror) == (0.0, 1.0, 0.0, False)

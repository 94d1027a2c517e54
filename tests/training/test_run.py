"""Trainings as the command line starts them, with a small data set."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray.train
import torch
from ray import cloudpickle

from facerecon_ray.cluster.nodes import parse_nodes
from facerecon_ray.config.training import (
    FitterTraining,
    PrnetTraining,
    RotatorTraining,
    TrainJob,
    TwoViewTraining,
)
from facerecon_ray.errors import InputError, OutputError, SettingsError, TrainingError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks import fitter, prnet, two_view, view_generator
from facerecon_ray.storage.objects import ObjectStore, open_store
from facerecon_ray.storage.pairs.dataset_card import new_card, save_card
from facerecon_ray.storage.run_lock import Check, claimed
from facerecon_ray.training.board import Standing
from facerecon_ray.training.run import _shares, run_training
from facerecon_ray.training.worker import WorkerTask

sys.path.insert(0, str(Path(__file__).parent))
from training_pairs import Rows, quick_job, write_pairs

pytestmark = pytest.mark.usefixtures("ray_cluster")


def fitter_weights(path: Path) -> torch.nn.Module:
    return fitter.load_weights(path, FaceModel.default())


CASES: dict[str, tuple[type[TrainJob], dict[str, Any], Callable[[Path], torch.nn.Module]]] = {
    "fitter": (FitterTraining, {}, fitter_weights),
    "two-view": (TwoViewTraining, {}, two_view.load_weights),
    "two-view without a fit": (TwoViewTraining, {"fit": False}, two_view.load_weights),
    "prnet": (PrnetTraining, {}, prnet.load_weights),
    "rotator": (RotatorTraining, {}, view_generator.load_weights),
}
QUICK = ("fitter", "two-view", "rotator")
"""One of each recipe."""


@pytest.mark.parametrize(
    "case", [*QUICK, *(pytest.param(case, marks=pytest.mark.slow) for case in CASES if case not in QUICK)]
)
def test_every_network_trains_and_leaves_weights_that_its_stage_loads(
    case: str, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In this process: Ray Train starts ten of its own for a worker, which take half a minute. Commands that train
    # there are in tests/cli/test_train.py.
    here = ray.train.ScalingConfig(num_workers=0)
    monkeypatch.setattr(ray.train, "ScalingConfig", lambda **_: here)
    kind, settings, load = CASES[case]
    job = quick_job(kind, pairs, tmp_path, **settings)
    seen: list[Standing] = []
    on_interrupt = signal.getsignal(signal.SIGINT)
    trained = run_training(job, seen.append)
    assert signal.getsignal(signal.SIGINT) is on_interrupt

    network = load(Path(trained.weights))
    assert all(weight.isfinite().all() for weight in network.state_dict().values())
    assert [entry["step"] for entry in trained.history] == [1, 2]
    assert json.loads((tmp_path / "figures.json").read_text()) == trained.history
    assert [entry["rows"] for entry in trained.history] == [2, 4]
    assert all(value == value for value in trained.history[-1]["losses"].values())
    for name in ("last", "best"):
        state = torch.load(tmp_path / "checkpoints" / f"{name}.pt", weights_only=True)
        best = max(entry["step"] for entry in trained.history if entry["best"])
        assert (state["network"], state["step"]) == (job.network, 2 if name == "last" else best)
    card = Path(trained.card).read_text()
    assert card.startswith(f"# {job.network}\n")
    assert "5 subjects" not in card and "4 subjects, 8 views" in card
    for step in (1, 2):
        assert (tmp_path / "samples" / f"step-000000{step}.png").read_bytes().startswith(b"\x89PNG")
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert events.stat().st_size > 1000
    assert json.loads((tmp_path / "settings.json").read_text())["network"] == job.network
    assert (trained.skipped, seen[-1].step, seen[-1].error) == (0, 2, None)


@pytest.mark.slow
def test_a_loss_that_is_no_number_reaches_the_user_with_its_step(tmp_path: Path) -> None:
    def spoil(rows: Rows) -> None:
        rows["shape"] = np.full_like(rows["shape"], np.inf)

    data = write_pairs(tmp_path / "pairs", change=spoil)
    with pytest.raises(
        TrainingError, match=r"step 1: the loss of fitter is no number \(.*vertices.*checkpoint is intact"
    ):
        run_training(quick_job(FitterTraining, data, tmp_path / "out"))


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        (
            {"count": 400, "cpus": 1.0},
            r"setting 'workers': no node has room for \d+ of 400 workers with 1 CPUs each",
        ),
        (
            {"count": 1, "cpus": 0.5, "gpus": 50},
            r"'workers': no node has room .* with 0\.5 CPUs, 50 GPUs each",
        ),
    ],
)
def test_workers_that_do_not_fit_the_cluster_are_refused(
    workers: dict[str, float], message: str, pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        run_training(quick_job(FitterTraining, pairs, tmp_path, workers=workers))


def test_workers_are_as_large_as_the_nodes_allow(pairs: Path, tmp_path: Path) -> None:
    def shares(*nodes: str, **workers: float) -> tuple[float, int]:
        return _shares(quick_job(FitterTraining, pairs, tmp_path, workers=workers), parse_nodes(nodes))

    assert shares("1cpu", "2x2cpu", count=1) == (2.0, 2)
    assert shares("1cpu", "2x2cpu", count=2) == (2.0, 2)
    assert shares("1cpu", "2x2cpu", count=4) == (1.0, 1)
    assert shares("8cpu", count=1) == (7.5, 8)
    assert shares("2x8cpu+1gpu", count=2, gpus=1) == (7.5, 8)
    with pytest.raises(SettingsError, match=r"no node has room for 1 of 1 workers with 3 CPUs each; nodes are 1 x"):
        shares("1cpu", "2x2cpu", count=1, cpus=3)


def test_two_trainings_never_write_to_one_output(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with claimed(open_store(tmp_path)), pytest.raises(OutputError, match="another run is writing"):
        run_training(quick_job(FitterTraining, pairs, tmp_path))
    assert not (tmp_path / "settings.json").exists()


def test_a_training_whose_output_another_run_has_taken_over_writes_nothing_more(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def lost(store: ObjectStore) -> Iterator[Check]:
        def check() -> None:
            raise OutputError("another run has taken it over")

        yield check

    here = ray.train.ScalingConfig(num_workers=0)
    monkeypatch.setattr(ray.train, "ScalingConfig", lambda **_: here)
    monkeypatch.setattr("facerecon_ray.training.run.claimed", lost)
    monkeypatch.setattr("facerecon_ray.training.run.POLL_SECONDS", 0.01)
    with pytest.raises(OutputError, match="has taken it over"):
        run_training(quick_job(FitterTraining, pairs, tmp_path))
    assert not (tmp_path / "checkpoints").exists()


def test_what_is_missing_is_named_before_anything_starts(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"initial weights .*nothing\.safetensors: no such file"):
        run_training(quick_job(FitterTraining, pairs, tmp_path, init=tmp_path / "nothing.safetensors"))
    with pytest.raises(InputError, match=r"data .*nowhere: no data set"):
        run_training(quick_job(FitterTraining, tmp_path / "nowhere", tmp_path))
    store = open_store(Path(shutil.copytree(pairs, tmp_path / "without")))
    save_card(store, new_card({"pairs": {"partners": False}}, 0, 4, {}))
    with pytest.raises(InputError, match=r"partners=false, so without the rotated views that two-view learns"):
        run_training(quick_job(TwoViewTraining, tmp_path / "without", tmp_path))
    save_card(store, new_card({"rotate": {"yaw_change": 20.0, "keep_pitch": False}}, 0, 4, {}))
    with pytest.raises(SettingsError, match=r"'rotate\.yaw_change': it is 30\.0, but data .* were made with 20\.0"):
        run_training(quick_job(TwoViewTraining, tmp_path / "without", tmp_path))


@contextmanager
def working(work: Callable[[WorkerTask], None]) -> Iterator[None]:
    """Workers do this, for the duration."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("facerecon_ray.training.run.work", work)
            yield
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_the_training_goes_on_from_the_last_checkpoint(
    pairs: Path, tmp_path: Path
) -> None:
    killed = str(tmp_path / "killed")

    def work_until_killed(task: WorkerTask) -> None:
        from facerecon_ray.training import worker

        class Deadly(worker.Checkpoints):
            def save(self, *arguments: object) -> None:
                super().save(*arguments)
                if not Path(killed).exists():
                    Path(killed).touch()
                    os.kill(os.getpid(), signal.SIGKILL)

        worker.Checkpoints = Deadly  # type: ignore[misc]
        worker.work(task)

    workers = {"cpus": 0.5, "threads": 1, "failures": 1}
    lines: list[str] = []
    with working(work_until_killed):
        trained = run_training(
            quick_job(RotatorTraining, pairs, tmp_path / "out", workers=workers), lambda now: lines.extend(now.lines)
        )
    assert Path(killed).exists() and "Going on after step 1 of 2" in lines
    assert [entry["step"] for entry in trained.history] == [1, 2]
    assert torch.load(tmp_path / "out" / "checkpoints" / "last.pt", weights_only=True)["step"] == 2


@pytest.mark.slow
def test_two_workers_have_the_same_weights_after_some_steps(pairs: Path, tmp_path: Path) -> None:
    folder = str(tmp_path)

    def work_and_tell(task: WorkerTask) -> None:
        from facerecon_ray.training.worker import _Worker

        worker = _Worker(task)
        worker.run()
        weights = {
            f"{name}.{key}": weight.detach()
            for name, module in worker._recipe.modules.items()
            for key, weight in module.named_parameters()
        }
        torch.save(weights, f"{folder}/rank-{worker._rank}.pt")

    workers = {"count": 2, "cpus": 0.5, "threads": 1, "failures": 0}
    # The one with two networks, which learn in turn.
    job = quick_job(RotatorTraining, pairs, tmp_path, steps=3, batch_size=1, validate_every=3, workers=workers)
    with working(work_and_tell):
        trained = run_training(job)
    first, second = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1))
    kept = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)["modules"]
    assert first.keys() == second.keys()
    for name, weight in first.items():
        assert torch.equal(weight, second[name]), name
        module, _, key = name.partition(".")
        assert torch.equal(weight, kept[module][key]), name
    assert trained.history[-1]["rows"] == 3 * 2
    view_generator.load_weights(Path(trained.weights))

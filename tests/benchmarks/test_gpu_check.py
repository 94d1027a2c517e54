import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from gpu.correct import PIXEL, compare
from gpu.inputs import pack
from gpu.machine import Machine, precision
from gpu.paths import training_job
from gpu.report import Clock, Report, run_phase
from gpu.stage_block import Cost, block
from gpu.train import PUPILS, beginnings
from plain_head import plain_head

from facerecon_ray.config.assets import DETECTOR_WEIGHTS, FITTER_WEIGHTS
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.pipeline.capacity import stage_costs
from facerecon_ray.pipeline.capacity.stage_costs import cost_table
from facerecon_ray.synthesis.batched.wardrobe import Wardrobe
from facerecon_ray.synthesis.rendering.head_scene import SKIN
from facerecon_ray.training.recipes.registry import build_recipe

ROOT = Path(__file__).parents[2]
PHASES = ("inputs", "correct", "fast", "end to end", "train")
GPU = Machine(torch.device("cuda"), quick=True)


@pytest.fixture
def carried(tmp_path: Path) -> Path:
    """A folder that makes heads without anny, and in which nobody can import Ray."""
    head = plain_head()
    parts = tuple(replace(part, name=SKIN) for part in head.parts)
    Wardrobe.of([replace(head, parts=parts)], FaceModel.default()).save(tmp_path / "wardrobe.npz")
    (tmp_path / "ray.py").write_text("raise ImportError('a bare machine has no Ray')\n")
    return tmp_path


@pytest.fixture(scope="module")
def dressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as it travels to a bare machine, with two people whom the fit stage takes for people."""
    folder = tmp_path_factory.mktemp("dressed")
    pack(folder, people=2)
    (folder / "ray.py").write_text("raise ImportError('a bare machine has no Ray')\n")
    return folder


def rehearse(carried: Path, seconds: int, *arguments: str) -> tuple[int, list[dict], str]:
    """Run the check; its exit status, its results, and what it printed."""
    command = [sys.executable, "benchmarks/gpu_check.py", "--device", "cpu", "--seconds", str(seconds)]
    command += ["--carried", str(carried), "--output", str(carried / "out"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(carried), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    results = [json.loads(line) for line in (carried / "out" / "results.jsonl").read_text().splitlines()]
    return run.returncode, results, run.stdout + run.stderr


def check_trained(folder: Path, results: list[dict], network: str) -> None:
    """What a training leaves: figures, weights, a card and a picture."""
    figures = {row["name"]: row for row in results}
    assert figures[f"{network}: before"]["begun_at_random"] == 0
    assert figures[f"{network}: after"]["steps"] > 0 and figures[f"{network}: pace"]["rows_per_second"] > 0
    assert np.isfinite([figures[f"{network}: pace"][name] for name in ("first_loss", "last_loss")]).all()
    assert (folder / f"{network}.safetensors").stat().st_size < 16_000_000
    assert (folder / f"{network}.png").read_bytes().startswith(b"\x89PNG")
    card = (folder / f"{network}.md").read_text()
    assert card.startswith(f"# {network}\n") and "rendered where they were learnt from" in card


@pytest.mark.slow
def test_a_rehearsal_goes_through_all_phases_without_a_gpu_and_without_ray(carried: Path) -> None:
    status, results, said = rehearse(carried, 5)
    assert status == 0, said
    done = {phase: [row for row in results if row["phase"] == phase and row["status"] == "ok"] for phase in PHASES}
    assert all(done.values()), said
    skipped = {row["name"]: row["why"] for row in results if row["status"] == "skipped"}
    assert "no CUDA device" in skipped["the device's results"]
    assert said.rstrip().endswith("failed: none")
    assert (carried / "out" / "summary.txt").read_text().rstrip().endswith("failed: none")


@pytest.mark.slow
def test_with_more_time_every_path_runs(carried: Path) -> None:
    from gpu.correct import tolerances
    from gpu.inputs import Inputs
    from gpu.paths import Paths

    status, results, said = rehearse(carried, 235, "--only", "correct")
    assert status == 0, said
    ran = {row["name"].split(":")[0] for row in results if row["phase"] == "correct" and row["status"] == "ok"}
    assert ran == set(tolerances(Paths(Inputs(None, quick=True), 1)))


@pytest.mark.slow
def test_every_network_learns_from_rendered_rows(dressed: Path) -> None:
    chosen = [part for network in PUPILS for part in ("--train", network)]
    status, results, said = rehearse(dressed, 235, "--only", "train", *chosen)
    assert status == 0, said
    figures = {row["name"]: row for row in results}
    for network in PUPILS:
        check_trained(dressed / "out", results, network)
        goal = build_recipe(training_job(network, torch.device("cpu"), True), torch.device("cpu")).goal
        assert np.isfinite([figures[f"{network}: {when}"][goal] for when in ("before", "after")]).all()


def test_weights_to_begin_with_say_whose_they_are(tmp_path: Path) -> None:
    begin = beginnings(["detector", "fitter"], [FITTER_WEIGHTS])
    assert begin == {"detector": DETECTOR_WEIGHTS, "fitter": FITTER_WEIGHTS}
    with pytest.raises(SystemExit, match=r"fitter.safetensors: these are weights of fitter; add --train fitter"):
        beginnings(["detector"], [FITTER_WEIGHTS])


def test_a_path_that_differs_is_named_and_decides_the_exit_status(tmp_path: Path) -> None:
    def path(device: torch.device) -> dict[str, np.ndarray]:
        return {"landmarks": np.full(100, 0.2 if device.type == "cuda" else 0.0), "pose": np.zeros(3)}

    report = Report(tmp_path)
    compare(report, GPU, "fitter", path, {"landmarks": PIXEL, "pose": PIXEL}, "float32")
    assert report.close() == 1
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [(row["name"], row["status"]) for row in rows] == [
        ("fitter: landmarks, float32", "DIFFERS"),
        ("fitter: pose, float32", "ok"),
    ]
    assert rows[0]["apart"] == pytest.approx(0.2) and rows[0]["within"] == 0.0
    assert "differ beyond tolerance: fitter: landmarks, float32" in (tmp_path / "summary.txt").read_text()


def test_without_a_gpu_nothing_is_said_to_agree_and_what_is_no_number_is_an_error(tmp_path: Path) -> None:
    report, alone = Report(tmp_path), Machine(torch.device("cpu"), quick=True)
    compare(report, alone, "fitter", lambda device: {"pose": np.zeros(3)}, {"pose": PIXEL}, "float32")
    with pytest.raises(ValueError, match="pose has values that are no numbers"):
        compare(report, alone, "fitter", lambda device: {"pose": np.full(3, np.nan)}, {"pose": PIXEL}, "float32")
    (row,) = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert row["name"] == "fitter: ran, compared with nothing, float32" and "within" not in row


def test_a_result_of_another_shape_or_that_is_no_number_differs() -> None:
    zeros = np.zeros(4)
    assert not PIXEL.holds(np.zeros(5), zeros, 1.0)[0]
    assert not PIXEL.holds(np.full(4, np.nan), zeros, 1.0)[0]
    assert PIXEL.holds(np.full(4, 0.04), zeros, 1.0)[0]


def test_what_breaks_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    report, done = Report(tmp_path), []

    def broken() -> None:
        raise RuntimeError("no kernel image")

    def steps(clock: Clock):
        yield "first", broken
        yield "second", partial(done.append, 2)

    run_phase(report, "fast", 5.0, steps)
    assert done == [2] and report.failed == ["first"] and report.close() == 1
    assert "no kernel image" in (tmp_path / "results.jsonl").read_text()


def test_a_phase_ends_when_its_time_is_over_and_keeps_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu.report.LEAST_GRACE", 0.1)
    report = Report(tmp_path)

    def steps(clock: Clock):
        yield "quick", lambda: report.result("fast", "quick", ms=1.0)
        yield "endless", partial(time.sleep, 10_000)
        yield "never", lambda: None

    run_phase(report, "fast", 0.2, steps)
    assert report.close() == 0 and report.skipped == ["the rest"]
    assert '"ms": 1.0' in (tmp_path / "results.jsonl").read_text()


def test_a_phase_that_comes_too_late_does_its_first_step(tmp_path: Path) -> None:
    report, done = Report(tmp_path), []

    def steps(clock: Clock):
        yield from ((name, partial(done.append, name)) for name in ("first", "second"))

    run_phase(report, "correct", -1.0, steps)
    assert done == ["first"] and report.skipped == ["second"]


def test_the_block_that_is_printed_is_what_the_cost_table_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = block("H200", {"crop.cascade": Cost(1.234, 5.6), "rotate": Cost(0.5, 0.25)})
    with_costs = stage_costs.STAGE_COSTS.read_text("utf-8").replace("gpus: {}", printed)
    (tmp_path / "costs.yaml").write_text(with_costs, "utf-8")
    monkeypatch.setattr(stage_costs, "STAGE_COSTS", tmp_path / "costs.yaml")
    table = cost_table.__wrapped__("H200")
    assert table.gpu_measured
    assert (table.of("crop.cascade").gpu, table.of("crop.cascade").host) == pytest.approx((0.00123, 0.0056))
    assert (table.of("rotate").gpu, table.of("rotate").host) == pytest.approx((0.0005, 0.00025))


def test_float32_means_no_rounding_that_the_package_or_cuda_chooses() -> None:
    from facerecon_ray.networks import face_cascade
    from facerecon_ray.stages import network_fitting

    before = torch.backends.cudnn.allow_tf32
    with precision("float32"):
        assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
        for module in (face_cascade, network_fitting):
            assert module.multiplies_bfloat16(torch.device("cpu")) is False
    assert torch.backends.cudnn.allow_tf32 == before


def test_a_gpus_type_is_what_ray_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in (("NVIDIA H200", "H200"), ("NVIDIA A100-SXM4-80GB", "A100"), ("Tesla T4", "T4")):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        assert GPU.gpu_type == kind

"""Everything that can break does, with real processes, nodes and connections: nothing is lost, nothing is doubled."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import toy_stages
from cluster_nodes import ClusterNodes, line_of
from s3_proxy import Fault, S3Proxy
from s3_server import S3Server
from toy_drivers import WAIT_SECONDS, driver, photos_begun, wait_for
from toy_stages import run_toy
from training_pairs import write_pairs

from facerecon_ray.errors import StoreUnavailableError
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.pairs.pair_shards import read_pairs
from facerecon_ray.storage.run_record import load_record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Photos = Callable[..., Path]


def rows(output: OutputFolder) -> list[dict[str, Any]]:
    return [row for table in Manifest(output).tables() for row in table.to_pylist()]


def faces(output: OutputFolder) -> Counter[tuple[str, int | None]]:
    return Counter((row["photo_uri"].rpartition("/")[2], row["face_index"]) for row in rows(output))


def many(count: int) -> dict[str, str]:
    return {f"p{number:03d}": f"faces={number % 3}" for number in range(count)}


def expected(count: int) -> dict[tuple[str, int | None], int]:
    return {
        (f"p{number:03d}.jpg", face if number % 3 else None): 1
        for number in range(count)
        for face in range(max(number % 3, 1))
    }


def here(*arguments: object) -> subprocess.Popen[str]:
    """A driver on the tests' cluster."""
    return driver(*arguments, RAY_ADDRESS=ray.get_runtime_context().gcs_address)


def kill_all(process: subprocess.Popen[str]) -> None:
    """End a driver and the Ray that it has started, as the end of its machine does."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.kill()
    process.wait()
    psutil.wait_procs(family, timeout=20)


@pytest.fixture
def s3_photos(seaweed: S3Server) -> Callable[[int], tuple[str, str]]:
    """Write toy photos into a new bucket: URIs of the photos and of a place for the results."""

    def write(count: int) -> tuple[str, str]:
        bucket = f"s3://{seaweed.bucket()}"
        store = open_store(f"{bucket}/photos", seaweed.settings)
        for name, text in many(count).items():
            store.write(f"{name}.jpg", text.encode())
        return f"{bucket}/photos", f"{bucket}/out"

    return write


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(("plan", "stage"), [(toy_stages.toy_plan, "read and crop"), (toy_stages.shared_plan, "crop")])
def test_photos_that_kill_or_hang_their_worker_become_failed_rows_and_no_other_photo_suffers(
    toy_photos: Photos, tmp_path: Path, plan: Callable[..., Any], stage: str
):
    photos = many(24) | {"p005": "hang", "p014": "crash"}
    result = run_toy(toy_photos(**photos), tmp_path / "out", plan=plan, **{"faults.batch_seconds": 5})
    found = {row["photo_uri"].rpartition("/")[2]: row for row in rows(OutputFolder(tmp_path / "out"))}
    assert result.totals.photos == 24 and result.totals.rows["failed"] == 2
    assert "took longer than 5 seconds, 2 times" in found["p005.jpg"]["error"]
    assert "ended its worker process, 2 times" in found["p014.jpg"]["error"]
    assert all(found[name]["error"].startswith(f"{stage} stage gave up") for name in ("p005.jpg", "p014.jpg"))
    good = {key: 1 for key in expected(24) if key[0] not in ("p005.jpg", "p014.jpg")}
    assert {key: n for key, n in faces(OutputFolder(tmp_path / "out")).items() if key in good} == good

    toy_photos(p005="faces=2", p014="faces=2")
    again = run_toy(tmp_path / "photos", tmp_path / "out", retry_failed=True, **{"faults.batch_seconds": 5})
    assert again.run.photos == 2
    assert faces(OutputFolder(tmp_path / "out")) == expected(24)


def test_a_node_that_vanishes_loses_no_photo(nodes: ClusterNodes, toy_photos: Photos, tmp_path: Path):
    log = tmp_path / "log"
    job = driver(toy_photos(**many(60)), tmp_path / "out", 0.25, log, RAY_ADDRESS=nodes.address)
    wait_for(lambda: photos_begun(log) >= 12, job)
    nodes.take_away()
    assert job.poll() is None, "the job was over before the node vanished"
    _, errors = job.communicate(timeout=240)
    assert job.returncode == 0, errors
    assert faces(OutputFolder(tmp_path / "out")) == expected(60)


def test_workers_that_a_lost_node_leaves_without_room_are_sized_anew(
    nodes: ClusterNodes, toy_photos: Photos, tmp_path: Path
):
    log = tmp_path / "log"
    photos = toy_photos(**many(32))
    job = driver(photos, tmp_path / "out", 0.5, log, RAY_ADDRESS=nodes.address, TOY_PLAN="sized")
    wait_for(lambda: photos_begun(log) >= 8, job)
    # The crop worker's: without the others' a crop worker may come to its end and leave them its room.
    nodes.take_away(log.with_suffix(".node").read_text())
    _, errors = job.communicate(timeout=280)
    assert job.returncode == 0, errors
    assert "the others have nothing to do: the pools were sized anew for 1 x (1 CPUs), 1 x (0 CPUs)" in errors
    assert faces(OutputFolder(tmp_path / "out")) == expected(32)


SYNTHESIS = """
import os, sys, time
sys.path.insert(0, sys.argv[2])
import toy_subjects
from ray import cloudpickle
from rich.console import Console
from facerecon_ray.cluster import tasks
from facerecon_ray.pipeline.synthesis.synthesis_preparation import prepare_synthesis
from facerecon_ray.pipeline.synthesis.synthesize import run_synthesis
cloudpickle.register_pickle_by_value(toy_subjects)
tasks.QUIET_SECONDS, tasks._LOOK_SECONDS = 5.0, 0.5
log = sys.argv[3]
class SlowSource(toy_subjects.ToySource):
    def subject(self, number):
        with open(log, "a") as file:
            print(number, os.getpid(), file=file)
        time.sleep(1.0)
        return super().subject(number)
job = toy_subjects.toy_job(sys.argv[1], subjects=10)
run_synthesis(prepare_synthesis(job), Console(stderr=True), None, SlowSource)
"""


def test_subjects_of_lost_nodes_are_made_by_those_that_are_left_and_without_any_the_job_ends(
    nodes: ClusterNodes, tmp_path: Path
):
    output, log = tmp_path / "pairs", tmp_path / "log"

    def start(**environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SYNTHESIS, output, Path(__file__).parents[1], log]
        return subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True)

    def begun() -> list[list[str]]:
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    job = start(RAY_ADDRESS=nodes.address)
    wait_for(lambda: len({process for _, process in begun()}) == 2, job)
    nodes.take_away()
    wait_for(lambda: max(Counter(subject for subject, _ in begun()).values()) == 2, job)
    nodes.take_away()
    _, errors = job.communicate(timeout=120)
    assert job.returncode != 0
    assert (
        "no task of synthesize runs: no node has room for one with 1 CPUs; what is left is 1 x (0 CPUs); finished "
        "shards stay, the same command makes the others"
    ) in errors
    again = start()
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    made = read_pairs(open_store(output), status=None, columns=["subject"])
    subjects = Counter(int(subject) for batch in made for subject in batch["subject"])
    assert subjects == {number: 1 if number == 3 else 2 for number in range(10)}


TRAINING = """
import sys, time
sys.path.insert(0, sys.argv[3])
from training_pairs import quick_job
from facerecon_ray.config.training import RotatorTraining
from facerecon_ray.jobs.session import ray_session
from facerecon_ray.training import run
run.PATIENCE_SECONDS = 5.0
cpus = float(sys.argv[4])
def work_until_lost(task):
    from facerecon_ray.training import worker
    class Lasting(worker.Checkpoints):
        def save(self, *arguments):
            super().save(*arguments)
            time.sleep(10_000)
    worker.Checkpoints = Lasting
    worker.work(task)
if "until lost" in sys.argv:
    run.work = work_until_lost
workers = {"count": 2, "cpus": cpus, "threads": 1, "failures": 1}
job = quick_job(RotatorTraining, sys.argv[1], sys.argv[2], batch_size=1, workers=workers)
with ray_session(runtime_environments=True):
    run.run_training(job, lambda now: [print(line, file=sys.stderr, flush=True) for line in now.lines])
"""


@pytest.mark.parametrize("nodes", [(2, 2)], indirect=True)
def test_a_training_whose_workers_a_lost_node_leaves_without_room_says_so_and_the_same_command_goes_on(
    nodes: ClusterNodes, tmp_path: Path
):
    output, tests = tmp_path / "trained", Path(__file__).parents[1] / "training"
    write_pairs(tmp_path / "pairs")

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", TRAINING, tmp_path / "pairs", output, tests, *arguments]
        environment = {**os.environ, "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2", **environment}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    job = start("1.2", "until lost", RAY_ADDRESS=nodes.address)
    wait_for(lambda: (output / "checkpoints" / "last.pt").exists(), job)
    nodes.take_away()
    line = line_of(job, "setting 'workers': no node has room for 1 of 2 workers with 1.2 CPUs each; nodes are 1 x ")
    assert line.endswith("a node was lost: waiting for another")
    said, _ = job.communicate(timeout=180)
    assert job.returncode != 0
    assert "a node was lost; the last checkpoint is intact, and the same command goes on from it" in said
    assert [entry["step"] for entry in json.loads((output / "figures.json").read_text())] == [1]
    again = start("0.5")
    said, _ = again.communicate(timeout=280)
    assert again.returncode == 0, said
    assert "Going on after step 1 of 2" in said
    assert [entry["step"] for entry in json.loads((output / "figures.json").read_text())] == [1, 2]


@pytest.mark.usefixtures("ray_cluster")
def test_a_job_on_s3_survives_a_store_that_fails_for_a_while(s3_photos, seaweed: S3Server, tmp_path: Path):
    source, target = s3_photos(40)
    proxy = S3Proxy(seaweed.port)
    settings = {"s3.endpoint_url": proxy.endpoint, "s3.time_limit": 60, "s3.read_timeout": 1.0}
    job = here(source, target, 0.1, tmp_path / "log", *(f"{name}={value}" for name, value in settings.items()))
    faults: tuple[Fault, ...] = ("503", "silent", "reset", "500", "cut")
    for number, fault in enumerate(faults):
        begun = 1 + 7 * number
        wait_for(lambda n=begun: photos_begun(tmp_path / "log") >= n, job)
        enough = proxy.met + 3
        with proxy.failing(fault, seconds=WAIT_SECONDS):
            wait_for(lambda n=enough: proxy.met >= n, job)
    _, errors = job.communicate(timeout=240)
    proxy.close()
    assert job.returncode == 0, errors
    output = OutputFolder(target, seaweed.settings)
    assert faces(output) == expected(40)
    good = [row for row in rows(output) if row["status"] == "ok"]
    assert len(good) == 39 and all(output.store.exists(row["mesh_uri"]) for row in good)
    assert output.store.exists("index.html") and b"facerecon-tests" not in output.store.read("run.json")


@pytest.mark.usefixtures("ray_cluster")
def test_a_store_that_stays_away_ends_the_job_and_makes_no_photo_unreadable(
    s3_photos, seaweed: S3Server, tmp_path: Path
):
    source, target = s3_photos(40)
    proxy = S3Proxy(seaweed.port)
    settings = {"s3.endpoint_url": proxy.endpoint, "s3.time_limit": 3, "s3.read_timeout": 1.0}
    job = here(source, target, 0.2, tmp_path / "log", *(f"{name}={value}" for name, value in settings.items()))
    wait_for(lambda: photos_begun(tmp_path / "log") >= 20, job)
    with proxy.failing("503", seconds=600):
        _, errors = job.communicate(timeout=240)
    proxy.close()
    assert job.returncode != 0 and StoreUnavailableError.__name__ in errors
    output = OutputFolder(target, seaweed.settings)
    assert "unreadable" not in {row["status"] for row in rows(output)}
    result = run_toy(source, target, **{"s3.endpoint_url": seaweed.endpoint})
    assert result.totals.rows == {"ok": 39, "no_face": 14} and faces(output) == expected(40)
    record = load_record(output.store)
    assert record is not None and [run.outcome for run in record.runs] == ["killed", "finished"]


@pytest.mark.usefixtures("ray_cluster")
def test_a_driver_that_is_killed_on_s3_is_continued_and_little_is_done_again(
    s3_photos, seaweed: S3Server, tmp_path: Path
):
    source, target = s3_photos(120)
    log, output = tmp_path / "log", OutputFolder(target, seaweed.settings)
    job = driver(source, target, 0.1, log, f"s3.endpoint_url={seaweed.endpoint}")
    wait_for(lambda: bool(rows(output)), job)
    kill_all(job)
    done = len({row["photo_uri"] for row in rows(output)})
    assert 0 < done < 120
    result = run_toy(source, target, log=str(log), **{"s3.endpoint_url": seaweed.endpoint})
    assert result.run.photos == 120 - done and faces(output) == expected(120)
    begun = Counter(log.read_text().splitlines())
    assert len(begun) == 120 and sum(begun.values()) - 120 <= 48, "more was begun again than the window allows"

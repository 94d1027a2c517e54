import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

import pytest
import ray
from ray.util import metrics

from facerecon_ray.pipeline.metrics import JobMeter, QueueMeter, WorkerMeter, watch_queues

SECONDS = 60


class Recorder:
    """Keeps what is recorded, in place of Ray's agent."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, tuple], float] = {}
        self.last: dict[tuple[str, tuple], float] = {}


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found = Recorder()

    def record(metric: metrics.Metric, value: float, tags: dict | None = None) -> None:
        labels = tuple(sorted({**metric._default_tags, **(tags or {})}.items()))
        found.sums[metric._name, labels] = found.sums.get((metric._name, labels), 0.0) + value
        found.last[metric._name, labels] = value

    monkeypatch.setattr(metrics.Metric, "_record", record)
    monkeypatch.setattr(metrics.Gauge, "set", record)
    return found


def labels(**values: str) -> tuple:
    return tuple(sorted(values.items()))


def test_the_driver_counts_what_is_complete_and_what_is_left(recorder: Recorder):
    meter = JobMeter()
    meter.add(photos=3, faces=4, failed=0, left=None)
    meter.add(photos=2, faces=0, failed=2, left=95)
    assert recorder.sums["facerecon_photos_total", ()] == 5 and recorder.sums["facerecon_faces_total", ()] == 4
    assert recorder.sums["facerecon_failed_total", ()] == 2
    assert recorder.last["facerecon_photos_left", ()] == 95


def test_a_worker_counts_its_rows_and_what_went_wrong_in_it_and_not_before_it(recorder: Recorder):
    meter = WorkerMeter("rotate", has_gpu=False)
    meter.count(["ok", "ok", "ok", "unreadable"], ["ok", "failed", "ok", "unreadable"])
    meter.count([], [])
    assert recorder.sums["facerecon_rows_total", labels(stage="rotate")] == 4
    outcomes = {key[1]: value for key, value in recorder.sums.items() if key[0] == "facerecon_outcomes_total"}
    assert outcomes == {labels(stage="rotate", kind="failed"): 1}


def test_busy_seconds_and_the_idle_share_add_up_also_during_a_long_call(recorder: Recorder):
    meter = WorkerMeter("crop", has_gpu=True, seconds=0.2)
    key = labels(stage="crop", device="gpu")
    with meter.call():
        deadline = time.monotonic() + 10
        while ("facerecon_idle_share", key) not in recorder.last and time.monotonic() < deadline:
            time.sleep(0.01)
        assert recorder.last["facerecon_idle_share", key] < 0.1, "a call that goes on is work"
    busy = recorder.sums["facerecon_stage_seconds_total", key]
    deadline = time.monotonic() + 10
    while recorder.last["facerecon_idle_share", key] < 0.99 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert recorder.last["facerecon_idle_share", key] > 0.99, "without a call a worker is idle"
    assert recorder.sums["facerecon_stage_seconds_total", key] == busy


@pytest.mark.usefixtures("ray_cluster")
def test_waiting_batches_are_measured_for_each_stage(recorder: Recorder):
    class Slow:
        def __call__(self, batch: dict) -> dict:
            time.sleep(0.1)
            return batch

    watch_queues()
    watch_queues()
    context = ray.data.DataContext.get_current()
    assert context.custom_execution_callback_classes.count(QueueMeter) == 1
    compute = ray.data.ActorPoolStrategy(size=1)
    dataset = ray.data.range(20, override_num_blocks=20)
    dataset.map_batches(Slow, compute=compute, num_cpus=0.1, batch_size=1).materialize()
    waiting = [value for (name, _), value in recorder.last.items() if name == "facerecon_queued_batches"]
    stages = {dict(key)["stage"] for name, key in recorder.last if name == "facerecon_queued_batches"}
    assert stages == {"Slow"} and waiting


EXPORTING = """
import sys, ray
from facerecon_ray.pipeline.metrics import JobMeter
ray.init("local", _temp_dir=sys.argv[1], include_dashboard=False, num_cpus=1)
meter = JobMeter()
(node,) = ray.nodes()
print("metrics", f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}", flush=True)
for _ in sys.stdin:
    meter.add(photos=1, faces=1, failed=1, left=5)
"""


def test_prometheus_can_read_them_from_a_cluster():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        process = subprocess.Popen(
            [sys.executable, "-c", EXPORTING, folder],
            env={**os.environ, "RAY_AUTH_MODE": "disabled"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        target = next(line.split()[1] for line in process.stdout if line.startswith("metrics "))
        deadline = time.monotonic() + SECONDS
        found: set[str] = set()
        while not {"ray_facerecon_photos_total", "ray_facerecon_photos_left"} <= found and time.monotonic() < deadline:
            print(file=process.stdin, flush=True)
            time.sleep(0.5)
            found = set(re.findall(r"^(ray_facerecon_\w+)\{", _scrape(target), re.MULTILINE))
        process.communicate(timeout=SECONDS)
    assert {"ray_facerecon_photos_total", "ray_facerecon_faces_total", "ray_facerecon_photos_left"} <= found


def _scrape(target: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""

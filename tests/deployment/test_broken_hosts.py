"""Hosts break in the middle of jobs, and all the same nothing is lost and nothing is there twice.

A cluster of three hosts that share nothing, with the data on a fourth. A job of each kind runs on it, all at once. In
their middle one worker's host loses its power, and as soon as it is back the other's cable is out for 40 seconds: the
jobs go on by themselves. Then the head's host loses its power, and the workers' with it, and on the cluster that is
made anew the jobs are submitted again.

That a job is in its middle does not depend on how fast the machine is. The store lets each job write some pieces of
what it makes and answers the next ones 503 (slow down). After the workers' hosts have broken it lets some more in, and
holds the next ones again until the head is lost. An evaluation writes nothing before its end; of that, a task stands
still on each host that is to break.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from isolated_cluster import IsolatedCluster, StoreGate
from isolated_hosts import WORKERS, why_not

ASKED_FOR = "FACERECON_BREAK_HOSTS"
REASON = why_not() if os.environ.get(ASKED_FOR) else f"set {ASKED_FOR}=1: it wants a machine for itself, for minutes"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(bool(REASON), reason=REASON),
]

CPUS = 10
PHOTOS, PHOTOS_OF_SHARD = 24, 16
SUBJECTS, YAWS = 6, (-22.5, 0.0)
PEOPLE, TURNS, PITCHES = 1, (0.0, 20.0), (-10.0, 0.0, 10.0)
STEPS, STEPS_OF_CHECKPOINT = 8, 2
SMALL_POOL = {"workers": 1, "cpus": 0.1, "batch_size": 2}
# A host has room for one of the training's workers, and beside that for one task of the evaluation.
JOBS: dict[str, dict[str, Any]] = {
    "train": {
        "network": "fitter",
        "data": "s3://work/clay",
        "steps": STEPS,
        "validate_every": STEPS_OF_CHECKPOINT,
        "batch_size": 1,
        "validation_rows": 2,
        "precision": "float32",
        "workers": {"count": 2, "cpus": CPUS * 0.51, "threads": 1},
        "optimizer": {"warmup": 1},
        "data_stream": {"shuffle_rows": 4},
    },
    "evaluate": {
        "data": {"subjects": PEOPLE},
        "protocol": {"yaws": list(TURNS), "pitches": list(PITCHES), "recognition": False},
        "outliers": 0,
        "history": "s3://work/output/evaluate-history",
        "work": {"cpus": CPUS * 0.26, "device": "cpu"},
    },
    "synthesize": {
        "subjects": SUBJECTS,
        "renderer": "rasterizer",
        "pairs": {"partners": False},
        "views": {"size": 160, "yaws": list(YAWS)},
        "shards": {"subjects": 1},
        "pool": {"cpus": 0.3, "workers": 1},
    },
    "reconstruct": {
        "input": "s3://work/photos",
        "shard_photos": PHOTOS_OF_SHARD,
        "export": {"previews": False},
        "report": {"gallery_faces": 1},
        "faults": {"batch_seconds": 1500.0},
        "pools": dict.fromkeys(("read", "crop", "fit", "reconstruct", "export"), SMALL_POOL),
    },
}
WANTED = {
    "train": [f"{step}" for step in range(STEPS_OF_CHECKPOINT, STEPS + 1, STEPS_OF_CHECKPOINT)],
    "evaluate": [
        f"subject {person} {model} {yaw} {pitch} ok"
        for person in range(PEOPLE)
        for model in ("fitted", "mean-face")
        for yaw in TURNS
        for pitch in PITCHES
    ],
    "synthesize": [f"{subject} {view} ok" for subject in range(SUBJECTS) for view in range(len(YAWS))],
    "reconstruct": [f"{photo:03d}.jpg 0 ok" for photo in range(PHOTOS)],
}
PIECES = {
    "train": "PUT /work/output/train/checkpoints/last.pt",
    "synthesize": "PUT /work/output/synthesize/shards/",
    "reconstruct": "PUT /work/output/reconstruct/meshes/",
}
# Before the workers are lost, and between them and the head; together less than there are.
ALLOWED = {"train": (1, 1), "synthesize": (5, 4), "reconstruct": (PHOTOS_OF_SHARD + 2, 4)}
EVERYTHING = 1_000_000
# Two at a time: a head of two cores that starts four jobs at once has none left to answer.
PAIRS = (("train", "reconstruct"), ("evaluate", "synthesize"))
EVALUATED_TASK = "score"
BEGUN = "event=progress"
OUT_SECONDS = 40.0
JOB_SECONDS = 600.0
STORE_SECONDS = 2000.0
# A cable is out until Ray misses its host, which with Ray's own settings takes longer.
QUICK_TO_NOTICE = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "4000",
    "RAY_health_check_failure_threshold": "3",
}


@dataclass
class Story:
    """What became of the jobs.

    running  which ran when something broke: a worker's power, the other's cable, the head
    exits    of each submission, by its name
    logs     the same
    made     names of what a submission left, in order, as often as it is there
    """

    running: list[list[str]] = field(default_factory=list)
    exits: dict[str, int] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    made: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    cluster = IsolatedCluster(tmp_path_factory.mktemp("cluster") / "network", CPUS, **QUICK_TO_NOTICE)
    try:
        cluster.data("photos", str(PHOTOS))
        cluster.data("clay")
        yield Director(cluster).play()
    finally:
        cluster.close()


class Director:
    """Runs the jobs and breaks the hosts."""

    def __init__(self, cluster: IsolatedCluster) -> None:
        self._cluster, self._gate = cluster, StoreGate(cluster)
        self._jobs: dict[str, Popen[str]] = {}
        self._pauses: list[Popen[str]] = []
        self._story = Story()

    def play(self) -> Story:
        """All of it."""
        for pair in PAIRS:
            for kind in pair:
                self._hold(kind)
                self._submit(kind)
            for kind in pair:
                self._wait_until_held(kind)
        self._note_running()
        self._cluster.lose(WORKERS[1])
        self._note_running()
        self._cluster.unplug(WORKERS[0], OUT_SECONDS)
        # What they are held at afterwards they have reached by themselves.
        for kind in PIECES:
            self._hold(kind, 1)
        for kind in PIECES:
            self._wait_until_held(kind)
        self._end("evaluate")
        self._hold("evaluate")
        self._submit("evaluate", "-2")
        self._wait_until_held("evaluate")
        self._note_running()
        self._cluster.lose_all()
        for name in list(self._jobs):
            self._end(name)
        for start in PIECES.values():
            self._gate.allow(start, EVERYTHING)
        for pair in PAIRS:
            for kind in pair:
                self._submit(kind, "-again")
            for kind in pair:
                self._cluster.wait_for_lines(f"{kind}-again", BEGUN, 1, self._jobs[f"{kind}-again"])
        for name in list(self._jobs):
            self._end(name)
        return self._story

    def _hold(self, kind: str, part: int = 0) -> None:
        """Let a job of this kind come so far and no farther."""
        if kind in PIECES:
            self._gate.allow(PIECES[kind], ALLOWED[kind][part])
        else:
            self._pauses = [self._cluster.pause(host, EVALUATED_TASK) for host in WORKERS]

    def _wait_until_held(self, kind: str) -> None:
        if kind in PIECES:
            self._gate.wait_until_held(PIECES[kind], self._jobs[kind])
        else:
            assert [pause.wait(JOB_SECONDS) for pause in self._pauses] == [0, 0], self._cluster.log("pauses")

    def _submit(self, kind: str, suffix: str = "") -> None:
        store = {"endpoint_url": self._gate.endpoint, "time_limit": STORE_SECONDS}
        job = {"command": kind, "output": f"s3://work/output/{kind}", "s3": store, **JOBS[kind]}
        self._jobs[kind + suffix] = self._cluster.submit(kind + suffix, job)

    def _note_running(self) -> None:
        self._story.running.append(sorted(name for name, job in self._jobs.items() if job.poll() is None))

    def _end(self, name: str) -> None:
        """Wait for the end of a job and look at what it has left."""
        code = self._jobs.pop(name).wait(JOB_SECONDS)
        self._story.exits[name], self._story.logs[name] = code, self._cluster.log(name)
        kind = name.partition("-")[0]
        if code == 0:
            self._story.made[name] = sorted(self._cluster.data("made", kind, f"output/{kind}"))


def test_jobs_of_all_kinds_are_in_their_middle_whenever_a_host_breaks(story: Story):
    others = ["reconstruct", "synthesize", "train"]
    assert story.running == [["evaluate", *others], ["evaluate", *others], ["evaluate-2", *others]]


def test_an_evaluation_goes_on_by_itself_when_workers_are_lost(story: Story):
    assert story.exits["evaluate"] == 0, story.logs["evaluate"]
    assert story.made["evaluate"] == sorted(["history", *WANTED["evaluate"]]), story.logs["evaluate"]


@pytest.mark.parametrize("name", ["train", "evaluate-2", "synthesize", "reconstruct"])
def test_a_job_ends_with_its_head_in_words(name: str, story: Story):
    assert story.exits[name] == 2 and "Traceback" not in story.logs[name], story.logs[name]


@pytest.mark.parametrize("kind", JOBS)
def test_submitted_again_nothing_is_lost_and_nothing_is_there_twice(kind: str, story: Story):
    name = f"{kind}-again"
    assert story.exits[name] == 0 and "Traceback" not in story.logs[name], story.logs[name]
    ended = ["history"] * 2 if kind == "evaluate" else []
    assert story.made[name] == sorted([*ended, *WANTED[kind]]), story.logs[name]

"""Speed and memory of the main job: copies of the bundled photos, scaled to 640 pixels, one face each.

Prints faces a second from the first photo's result to the last, milliseconds a face by stage (processes that wait for
a core count the waiting), and the largest resident memory of any process.

    python benchmarks/main_job.py --photos 300
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

import facerecon_ray

SIDE = 640
BUNDLED = Path(facerecon_ray.__file__).parent / "assets" / "photos"


def make_photos(folder: Path, count: int) -> None:
    """Write copies of the bundled photos whose longer side has 640 pixels."""
    originals = [np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_BGR)) for path in sorted(BUNDLED.glob("*.jpg"))]
    for i in range(count):
        photo = originals[i % len(originals)]
        factor = SIDE / max(photo.shape[:2])
        cv2.imwrite(str(folder / f"{i:05d}.jpg"), cv2.resize(photo, None, fx=factor, fy=factor))


def watch_memory(root: psutil.Process, peak: Counter[str], private: Counter[str], stop: threading.Event) -> None:
    """Record the largest memory in MB of every kind of process below `root`, twice a second.

    peak     resident, which counts the pages of Ray's shared object store that a process has touched
    private  resident without shared pages
    """
    while not stop.wait(0.5):
        for process in [root, *root.children(recursive=True)]:
            try:
                kind = " ".join(process.cmdline())[:40]
                memory = process.memory_info()
                peak[kind] = max(peak[kind], memory.rss // 2**20)
                private[kind] = max(private[kind], (memory.rss - memory.shared) // 2**20)
            except psutil.Error:
                continue


def run(photos: Path, output: Path) -> tuple[dict[str, Any], Counter[str], Counter[str], float]:
    """Run the job: the contents of run.json, resident and private memory by process, and wall seconds."""
    peak: Counter[str] = Counter()
    private: Counter[str] = Counter()
    stop = threading.Event()
    command = [sys.executable, "-c", "from facerecon_ray.cli import main; main()"]
    start = time.perf_counter()
    job = subprocess.Popen(
        [*command, "reconstruct", str(photos), "--output", str(output)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    watcher = threading.Thread(target=watch_memory, args=(psutil.Process(job.pid), peak, private, stop))
    watcher.start()
    if job.wait() != 0:
        raise SystemExit("the job failed")
    stop.set()
    watcher.join()
    return json.loads((output / "run.json").read_text()), peak, private, time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        make_photos(folder / "photos", arguments.photos)
        record, peak, private, seconds = run(folder / "photos", folder / "out")
    last = record["runs"][-1]
    print(f"{last['photos']} photos, {last['faces']} faces, {seconds:.1f} s with start-up and gallery")
    print(f"{last['faces_per_second']} faces a second once the first is done")
    for stage, total in record["stage_seconds"].items():
        print(f"{1000 * total / last['faces']:6.1f} ms  {stage}")
    for kind, megabytes in peak.most_common(12):
        print(f"{megabytes:6d} MB, {private[kind]:5d} MB private  {kind}")


if __name__ == "__main__":
    main()

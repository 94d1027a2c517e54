"""A job on S3 that is killed again and again: is every photo done once, and how much is done twice?

Photos are texts and the stages sleep, but drivers, workers, Ray and the S3 server are real. The driver and all its
workers are killed by SIGKILL at random points and started again; the manifest at the end is compared with that of an
undisturbed run, row by row but for the times.

    python benchmarks/kill_and_resume.py --photos 2000 --kills 5
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow as pa
import toy_job
import toy_stages
from s3_server import CREDENTIALS, S3Server

from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.outputs import OutputFolder


def start(source: str, target: str, seconds: float, log: Path, endpoint: str) -> psutil.Popen:
    """A driver in a process of its own."""
    arguments = [source, target, str(seconds), str(log), f"s3.endpoint_url={endpoint}"]
    return psutil.Popen(
        [sys.executable, toy_stages.__file__, *arguments],
        env={**os.environ, "PYTHONPATH": str(toy_job.ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill(driver: psutil.Popen) -> None:
    """End a driver and everything that it has started."""
    family = [*driver.children(recursive=True), driver]
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=30)


def begun(log: Path) -> int:
    """Photos that the crop stage has begun, each as often as it has."""
    return len(log.read_text().splitlines()) if log.exists() else 0


def results(target: str, server: S3Server) -> pa.Table:
    """Rows of a manifest without their times, sorted."""
    rows = pa.concat_tables(Manifest(OutputFolder(target, server.settings)).tables())
    return rows.drop_columns(["timings"]).sort_by([("photo_uri", "ascending"), ("face_index", "ascending")])


def main() -> None:
    """Run, kill, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.01, help="sleep of the crop stage for each photo")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ.update(CREDENTIALS, AWS_EC2_METADATA_DISABLED="true")
    server = S3Server()
    folder = Path(tempfile.mkdtemp(prefix="kill-and-resume-"))
    try:
        bucket = f"s3://{server.bucket()}"
        store = open_store(f"{bucket}/photos", server.settings)
        for number in range(arguments.photos):
            store.write(f"{number:06d}.jpg", f"faces={number % 4}".encode())
        choose = random.Random(arguments.seed)
        points = sorted(choose.uniform(0.05, 0.95) * arguments.photos for _ in range(arguments.kills))
        log = folder / "killed.log"
        redone: list[int] = []
        for point in points:
            driver = start(f"{bucket}/photos", f"{bucket}/killed", arguments.seconds, log, server.endpoint)
            while begun(log) - sum(redone) < point and driver.poll() is None:
                time.sleep(0.05)
            kill(driver)
            done = Manifest(OutputFolder(f"{bucket}/killed", server.settings)).totals().photos
            lost = begun(log) - sum(redone) - done
            redone.append(lost)
            print(f"killed with {done} photos done, {lost} begun in vain ({lost / arguments.photos:.1%})", flush=True)
        last = start(f"{bucket}/photos", f"{bucket}/killed", arguments.seconds, log, server.endpoint)
        assert last.wait() == 0, "the last run failed"
        calm = start(f"{bucket}/photos", f"{bucket}/calm", arguments.seconds, folder / "calm.log", server.endpoint)
        assert calm.wait() == 0, "the undisturbed run failed"
        killed, undisturbed = results(f"{bucket}/killed", server), results(f"{bucket}/calm", server)
        keys = Counter(zip(killed["photo_uri"].to_pylist(), killed["face_index"].to_pylist(), strict=True))
        print(f"begun in all      {begun(log)} of {arguments.photos}, those begun in vain among them")
        print(f"rows              {killed.num_rows}, doubled {sum(n - 1 for n in keys.values())}")
        print(f"equal manifests   {killed.equals(undisturbed)}")
        print(
            f"redone per kill   at most {max(redone) / arguments.photos:.1%}, on average "
            f"{sum(redone) / len(redone) / arguments.photos:.1%}"
        )
    finally:
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

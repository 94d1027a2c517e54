"""What a job of the six bundled photos takes: wall seconds, and CPU seconds of all its processes by kind.

On a busy machine only the CPU seconds say something. With --also, another checkout with an environment of its own does
the same job in turn with this one.

    python benchmarks/start_up.py --times 3 --also ../before
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import psutil
from cpu_by_process import kind_of

HERE = Path(__file__).resolve().parents[1]
LOOKS_A_SECOND = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--also", type=Path, action="append", default=[], help="another checkout; may be repeated")
    parser.add_argument("--set", action="append", default=[], help="a setting of the job, as for `reconstruct`")
    arguments = parser.parse_args()
    runs: dict[Path, list[tuple[float, dict[str, float]]]] = defaultdict(list)
    for _ in range(arguments.times):
        for checkout in (*arguments.also, HERE):
            runs[checkout].append(run(checkout, arguments.set))
    for checkout, results in runs.items():
        print(f"{checkout}: {median(wall for wall, _ in results):.1f} s, ", end="")
        print(f"{median(sum(cpu.values()) for _, cpu in results):.1f} CPU seconds")
        for kind in sorted(results[-1][1], key=lambda kind: -results[-1][1][kind]):
            print(f"  {median(cpu.get(kind, 0.0) for _, cpu in results):6.2f}  {kind}")


def run(checkout: Path, settings: list[str]) -> tuple[float, dict[str, float]]:
    """Wall seconds of the job, and CPU seconds by kind of process."""
    with tempfile.TemporaryDirectory() as output:
        python = checkout / ".venv" / "bin" / "python"
        start = time.perf_counter()
        job = subprocess.Popen(
            [str(python if python.exists() else sys.executable), "-m", "facerecon_ray", "reconstruct"]
            + ["facerecon_ray/assets/photos", "--output", output]
            + [part for setting in settings for part in ("--set", setting)],
            cwd=checkout,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        root = psutil.Process(job.pid)
        spent: dict[psutil.Process, tuple[str, float]] = {}
        while job.poll() is None:
            for process in [root, *root.children(recursive=True)]:
                try:
                    times = process.cpu_times()
                    spent[process] = kind_of(process, root), times.user + times.system
                except psutil.Error:
                    continue
            time.sleep(1 / LOOKS_A_SECOND)
        wall = time.perf_counter() - start
    if job.returncode:
        raise SystemExit("the job failed")
    kinds: dict[str, float] = defaultdict(float)
    for kind, seconds in spent.values():
        kinds[kind] += seconds
    return wall, dict(kinds)


if __name__ == "__main__":
    main()

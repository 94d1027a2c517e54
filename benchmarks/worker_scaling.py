"""What a second worker on CPUs is worth in a training, and what it could be worth on this machine.

    python benchmarks/worker_scaling.py --data PAIRS [--network fitter] [--steps 60] [--batch 32]

Trains with one worker, with two that average their gradients, and two trainings of one worker each beside each other,
which share nothing: twice what one makes where each has a core to itself, less where two cores share memory, a cache
or power. Every worker computes with one thread. Rows a second are those of the last progress line, a mean
over about a hundred steps.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

RATE = re.compile(r"rows_per_second=([\d.]+)")
COMMAND = [sys.executable, "-c", "from facerecon_ray.cli import main; main()", "train"]


def start(arguments: argparse.Namespace, workers: int, output: str) -> subprocess.Popen[str]:
    """Begin a training in a process of its own."""
    settings = [
        f"batch_size={arguments.batch}",
        f"validate_every={arguments.steps}",
        "validation_rows=32",
        "optimizer.warmup=5",
        f"workers={{count: {workers}, cpus: 0.7, threads: 1}}",
    ]
    options = [option for setting in settings for option in ("--set", setting)]
    return subprocess.Popen(
        [*COMMAND, arguments.network, "--data", arguments.data, "--output", output, "--steps", f"{arguments.steps}"]
        + options,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows_per_second(training: subprocess.Popen[str]) -> float:
    """Wait for a training and read its last rate."""
    _, log = training.communicate()
    rates = RATE.findall(log)
    if training.returncode != 0 or not rates:
        raise SystemExit(f"the training failed:\n{log[-2000:]}")
    return float(rates[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="pairs made by facerecon synthesize")
    parser.add_argument("--network", default="fitter")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=32)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        one = rows_per_second(start(arguments, 1, str(place / "one")))
        two = rows_per_second(start(arguments, 2, str(place / "two")))
        beside = [start(arguments, 1, str(place / name)) for name in ("left", "right")]
        apart = sum(map(rows_per_second, beside))
    print(f"one worker                        {one:7.1f} rows/s")
    print(f"two workers                       {two:7.1f} rows/s, {two / one:.2f} times one")
    print(f"two trainings beside each other   {apart:7.1f} rows/s, {apart / one:.2f} times one")
    print(f"two workers make {two / apart:.0%} of what two make that share nothing")


if __name__ == "__main__":
    main()

"""What a job of the six bundled photos takes: wall seconds, and CPU seconds of all its processes by kind.

On a busy machine only the CPU seconds say something. With --also, another checkout with an environment of its own does
the same job in turn with this one.

    python benchmarks/start_up.py --times 3 --also ../before
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from watched_job import HERE, Watched, run_reconstruct

PHOTOS = Path("facerecon_ray/assets/photos")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--also", type=Path, action="append", default=[], help="another checkout; may be repeated")
    parser.add_argument("--set", action="append", default=[], help="a setting of the job, as for `reconstruct`")
    arguments = parser.parse_args()
    runs: dict[Path, list[Watched]] = defaultdict(list)
    for _ in range(arguments.times):
        for checkout in (*arguments.also, HERE):
            with tempfile.TemporaryDirectory() as output:
                runs[checkout].append(run_reconstruct(checkout, PHOTOS, Path(output), arguments.set))
    for checkout, results in runs.items():
        print(f"{checkout}: {median(result.wall for result in results):.1f} s, ", end="")
        print(f"{median(sum(result.cpu.values()) for result in results):.1f} CPU seconds")
        last = results[-1].cpu
        for kind in sorted(last, key=lambda kind: -last[kind]):
            print(f"  {median(result.cpu.get(kind, 0.0) for result in results):6.2f}  {kind}")


if __name__ == "__main__":
    main()

"""What the benchmarks of the job's machinery share: stages that sleep, photos that are texts, a real S3 server."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "pipeline")]

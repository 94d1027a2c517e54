"""README's table of the evaluation and docs/evaluation.png, both from one run.

    python benchmarks/evaluation_table.py [--run OUTPUT]

Without OUTPUT, of a finished `facerecon evaluate --models fitted,two-view,mean-face,prnet`, it does that run first,
about ten minutes on two cores. The picture carries the figures that it and the table show, so that a test can compare
them.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from facerecon_ray.report.evaluation_charts import line_chart_png
from facerecon_ray.report.evaluation_figures import FigureTable

ROOT = Path(__file__).parent.parent
README, PICTURE = ROOT / "README.md", ROOT / "docs/evaluation.png"
DATA, SIDES = "embedded", "|yaw| "
MODELS = {"fitted": "fitted", "two-view": "two-view", "mean-face": "mean face", "prnet": "PRNet"}
"""Models in the table's order, and their names in it."""

LANDMARKS = "landmark_nme"
METRICS = ("nme", "nme_with_failures", "mm", "nme_corresponding", LANDMARKS, "share_reconstructed")
FIGURES = "figures"
"""Name of the text in the picture."""

TABLE = re.compile(r"\| model \| NME \|.*?\n(?=\n)", re.DOTALL)


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    run = parser.parse_args().run
    with tempfile.TemporaryDirectory() as folder:
        if run is None:
            run = Path(folder)
            models = ",".join(MODELS)
            command = [sys.executable, "-m", "facerecon_ray", "evaluate", "--models", models, "--output", folder]
            subprocess.run(command, check=True)
        summary = json.loads((run / "evaluation.json").read_text())
    shown = [one for one in summary["figures"] if one["data"] == DATA and _is_shown(one["metric"], one["group"])]
    figures = {"figures": shown, "metrics": {name: summary["metrics"][name] for name in METRICS}}
    PICTURE.write_bytes(chart(figures))
    README.write_text(TABLE.sub(lambda _: table(figures), README.read_text(), count=1))


def table(figures: dict[str, Any]) -> str:
    """Lines of README's table."""
    known = FigureTable(figures["figures"], list(MODELS), figures["metrics"])
    lines = [
        "| model | NME | with failures at 10 % | mm | NME without ICP | landmarks at yaw 0-30 / 30-60 / 60-90 "
        "| reconstructed |",
        "| --- " * 7 + "|",
    ]
    for model, name in MODELS.items():
        nme, failed, mm, corresponding, share = (
            known.value(DATA, model, metric) or 0.0 for metric in METRICS if metric != LANDMARKS
        )
        sides = (known.value(DATA, model, LANDMARKS, side) or 0.0 for side in known.groups(DATA, SIDES))
        landmarks = " / ".join(f"{100 * value:.1f}" for value in sides)
        lines.append(
            f"| {name} | {100 * nme:.2f} % | {100 * failed:.2f} % | {mm:.2f} | {100 * corresponding:.2f} % "
            f"| {landmarks} % | {100 * share:.0f} % |"
        )
    return "\n".join(lines) + "\n"


def chart(figures: dict[str, Any]) -> bytes:
    """The picture, with the figures in it."""
    known = FigureTable(figures["figures"], list(MODELS), figures["metrics"])
    series, ticks = known.by_angle(DATA, "nme", "yaw ")
    text = {FIGURES: json.dumps(figures)}
    return line_chart_png("Mean NME by yaw", "yaw of the head, degrees", "NME, %", series, ticks, text)


def figures_in(picture: bytes) -> dict[str, Any]:
    """The figures that a picture carries."""
    with Image.open(io.BytesIO(picture)) as image:
        found: dict[str, Any] = json.loads(image.info[FIGURES])
    return found


def _is_shown(metric: str, group: str) -> bool:
    sides = metric == LANDMARKS and group.startswith(SIDES)
    return (metric in METRICS and group == "all") or sides or (metric == "nme" and group.startswith("yaw "))


if __name__ == "__main__":
    main()

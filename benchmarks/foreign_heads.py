"""How much of a person each model finds: people of a model of scans, and the project's own rendered people.

    python benchmarks/foreign_heads.py --heads FOLDER --scans-model ICT.npz [--portraits PORTRAITS] [--people 6]
    python benchmarks/foreign_heads.py --heads FOLDER [--models fitted,mean-face] [--subjects 12 --children 4]
    python benchmarks/foreign_heads.py --heads FOLDER --set 'protocol.pitches=[0]'     # a third of the pictures
    python benchmarks/foreign_heads.py --run OUTPUT

The heads are photographed into FOLDER once and scored from there ever after, whatever the models. --subjects and
--children add embedded held-out people. --set is handed on to `facerecon evaluate`, and --run only prints the tables
of a finished one.

NME is in percent of the mesh's size; "removed" is the share of the mean face's error that a model removes, over the
pictures of which both gave a mesh.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from facerecon_ray.evaluation.foreign_heads import CARD
from facerecon_ray.evaluation.results import ROWS
from facerecon_ray.evaluation.rows import EMBEDDED, FOREIGN, OK, UNUSABLE

Row = dict[str, Any]
FLOOR = "mean-face"
OLD, GROWN = 60.0, 18.0


def main() -> None:
    """Make what is missing, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", type=Path, help="folder of the photographed heads")
    parser.add_argument("--scans-model", help="ICT-FaceKit as .npz, for a folder without heads")
    parser.add_argument("--portraits", help="near-frontal portraits for the skins")
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--models", default=f"fitted,{FLOOR}")
    parser.add_argument("--subjects", type=int, default=0, help="embedded adults")
    parser.add_argument("--children", type=int, default=0, help="embedded children")
    parser.add_argument("--set", action="append", default=[], help="setting of the evaluation, NAME=VALUE")
    parser.add_argument("--output", type=Path, help="folder for the report")
    parser.add_argument("--run", type=Path, help="output of a finished evaluation")
    asked = parser.parse_args()
    if asked.run:
        print_tables(asked.run)
        return
    if not asked.heads:
        parser.error("name the folder of the heads: --heads")
    if not (asked.heads / CARD).exists():
        if not asked.scans_model:
            parser.error(f"there are no heads in {asked.heads}: --scans-model makes them")
        options = ["--portraits", asked.portraits] if asked.portraits else []
        made_of = ["--scans-model", asked.scans_model, "--people", str(asked.people), *options]
        facerecon("model", "people", "--output", str(asked.heads), *made_of)
    with tempfile.TemporaryDirectory() as folder:
        output = asked.output or Path(folder)
        data = ["--foreign", str(asked.heads), "--subjects", str(asked.subjects)]
        settings = [f"data.children={asked.children}", "protocol.recognition=false", *asked.set]
        assignments = [part for setting in settings for part in ("--set", setting)]
        facerecon("evaluate", *data, "--models", asked.models, "--output", str(output), *assignments)
        print_tables(output)


def facerecon(*arguments: str) -> None:
    """Run a command of the product, which says itself what is wrong."""
    if code := subprocess.run([sys.executable, "-m", "facerecon_ray", *arguments], check=False).returncode:
        sys.exit(code)


def print_tables(output: Path) -> None:
    """Both tables of a finished evaluation."""
    rows = [row for row in pq.ParquetFile(output / ROWS).read().to_pylist() if row["status"] != UNUSABLE]
    for data, groups in ((FOREIGN, FOREIGN_GROUPS), (EMBEDDED, EMBEDDED_GROUPS)):
        some = [row for row in rows if row["data"] == data]
        if some:
            print_table(data, some, groups)


def print_table(data: str, rows: list[Row], groups: dict[str, Callable[[Row], bool]]) -> None:
    """One line a group of pictures, and columns for each model."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    items = {row["item"] for row in rows}
    head = "".join(f" | {model}: NME | mm | removed | found" for model in models)
    print(f"\n{data}: {len(items)} heads\n\n| pictures | number{head} |\n{'| --- ' * (2 + 4 * len(models))}|")
    for group, inside in groups.items():
        members = [row for row in rows if inside(row)]
        if members:
            cells = " | ".join(cell(members, model) for model in models)
            print(f"| {group} | {len(members) // len(models)} | {cells} |")


def cell(rows: list[Row], model: str) -> str:
    """NME, millimetres, removed share and share of the pictures that gave a mesh."""
    own = [row for row in rows if row["model"] == model]
    ok = [row for row in own if row["status"] == OK]
    if not ok:
        return "– | – | – | 0 %"
    floor = {picture(row): row["nme"] for row in rows if row["model"] == FLOOR and row["status"] == OK}
    both = [(row["nme"], floor[picture(row)]) for row in ok if picture(row) in floor]
    removed = f"{100 * (1 - np.sum(both, 0)[0] / np.sum(both, 0)[1]):.0f} %" if both and model != FLOOR else "–"
    nme, mm = (float(np.mean([row[name] for row in ok])) for name in ("nme", "mm"))
    return f"{100 * nme:.2f} | {mm:.2f} | {removed} | {100 * len(ok) / len(own):.0f} %"


def picture(row: Row) -> tuple[str, float, float]:
    """What picture a row is of."""
    return row["item"], row["yaw"], row["pitch"]


def is_bearded(row: Row) -> bool:
    """Stubble counts."""
    return bool(row["beard"] != "none")


def turned_by(yaw: float) -> Callable[[Row], bool]:
    """Whether a row's head is turned by so many degrees to either side."""
    return lambda row: bool(abs(row["yaw"]) == yaw)


POSES: dict[str, Callable[[Row], bool]] = {
    "all": lambda row: True,
    "yaw 0": lambda row: row["yaw"] == 0,
    **{f"yaw ±{yaw}": turned_by(yaw) for yaw in (20, 40, 60, 80)},
}
FOREIGN_GROUPS: dict[str, Callable[[Row], bool]] = {
    **POSES,
    "neutral": lambda row: row["expression"] == "neutral",
    "with an expression": lambda row: row["expression"] != "neutral",
    "neutral, yaw 0": lambda row: row["expression"] == "neutral" and row["yaw"] == 0,
    "with an expression, yaw 0": lambda row: row["expression"] != "neutral" and row["yaw"] == 0,
    "0.5 to 1 m away": lambda row: row["distance"] < 1.0,
    "1 to 2 m away": lambda row: row["distance"] >= 1.0,
}
EMBEDDED_GROUPS: dict[str, Callable[[Row], bool]] = {
    **POSES,
    "neutral": lambda row: row["expression"] == "neutral",
    "with an expression": lambda row: row["expression"] != "neutral",
    "children": lambda row: row["age"] < GROWN,
    "over 60": lambda row: row["age"] >= OLD,
    "bearded": is_bearded,
    "others": lambda row: GROWN <= row["age"] < OLD and not is_bearded(row),
}

if __name__ == "__main__":
    main()

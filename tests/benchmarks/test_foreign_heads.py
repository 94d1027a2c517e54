import importlib.util
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest

from facerecon_ray.evaluation.results import ROWS
from facerecon_ray.evaluation.rows import EMBEDDED, FOREIGN, NOT_RECONSTRUCTED, OK, rows_table

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("foreign_heads", ROOT / "benchmarks/foreign_heads.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(model: str, yaw: float, nme: float | None, **others: object) -> dict[str, object]:
    scores = {"status": NOT_RECONSTRUCTED} if nme is None else {"status": OK, "nme": nme, "mm": 100 * nme}
    base = {"data": FOREIGN, "item": "a", "model": model, "yaw": yaw, "pitch": 0.0, "expression": "smile"}
    return base | {"distance": 0.7, "beard": "none"} | scores | others


def test_what_a_model_removes_is_measured_where_it_and_the_mean_face_gave_a_mesh(
    benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        row("fitted", 0.0, 0.015),
        row("fitted", 20.0, 0.015),
        row("fitted", -20.0, None),
        row("mean-face", 0.0, 0.02),
        row("mean-face", 20.0, 0.03),
        row("mean-face", -20.0, 0.04),
    ]
    pq.write_table(rows_table(rows), tmp_path / ROWS)
    benchmark.print_tables(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert "| all | 3 | 1.50 | 1.50 | 40 % | 67 % | 3.00 | 3.00 | – | 100 % |" in lines
    assert "| yaw 0 | 1 | 1.50 | 1.50 | 25 % | 100 % | 2.00 | 2.00 | – | 100 % |" in lines
    assert not any(line.startswith("| neutral") for line in lines), "there is none"


def test_embedded_people_are_split_by_age_and_beard(
    benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    who = ((9.0, "none"), (70.0, "full"), (30.0, "stubble"), (30.0, "none"))
    rows = [
        row("mean-face", 0.0, 0.01 * (index + 1), data=EMBEDDED, item=str(index), age=age, beard=beard, distance=None)
        for index, (age, beard) in enumerate(who)
    ]
    pq.write_table(rows_table(rows), tmp_path / ROWS)
    benchmark.print_tables(tmp_path)
    found = {
        line.split(" | ")[0]: line.split(" | ")[2] for line in capsys.readouterr().out.splitlines() if "%" in line
    }
    assert found["| children"] == "1.00" and found["| over 60"] == "2.00"
    assert found["| bearded"] == "2.50" and found["| others"] == "4.00"

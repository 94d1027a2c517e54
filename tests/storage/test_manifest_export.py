import csv
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from runs import face, row, write_run

from facerecon_ray.errors import OutputError
from facerecon_ray.storage.manifest_export import write_csv, write_parquet
from facerecon_ray.storage.manifest_query import Conditions, open_manifests, select_rows
from facerecon_ray.storage.schema import MANIFEST_SCHEMA, SCHEMA_VERSION

DOCUMENT = Path(__file__).parents[2] / "docs" / "manifest.md"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Output of a job with two parts."""
    rows = [face("/p/a.jpg", -70, 0.5), row("/p/b,c.jpg", "failed", error='he said "no"\nand left')]
    write_run(tmp_path / "out", rows, [face("/p/d.jpg", 20, 0.7)])
    return tmp_path / "out"


def rows_of(output: Path):
    return select_rows(open_manifests([str(output)]), [str(output)], Conditions())


def test_csv_has_every_row_and_survives_any_text(output: Path, tmp_path: Path):
    assert write_csv(rows_of(output), tmp_path / "rows.csv") == 3
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [one["photo_uri"] for one in rows] == ["/p/a.jpg", "/p/b,c.jpg", "/p/d.jpg"]
    assert rows[1]["error"] == 'he said "no"\nand left' and rows[1]["yaw"] == "" and float(rows[0]["yaw"]) == -70


def test_parquet_has_the_rows_and_the_version_of_the_manifest(output: Path, tmp_path: Path):
    assert write_parquet(rows_of(output), tmp_path / "rows.parquet") == 3
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.schema.equals(MANIFEST_SCHEMA)
    assert table.schema.metadata[b"schema_version"] == str(SCHEMA_VERSION).encode()
    assert table.slice(0, 1).to_pylist()[0]["landmarks"][67] == [67.0, 0.5]


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(output: Path, tmp_path: Path):
    with pytest.raises(OutputError, match=r"nowhere/rows\.csv"):
        write_csv(rows_of(output), tmp_path / "nowhere" / "rows.csv")
    assert not (tmp_path / "nowhere").exists()


def test_duckdb_reads_a_manifest_with_its_nested_columns(output: Path):
    query = f"""SELECT photo_uri, pose.yaw, landmarks[68][1], len(shape)
                FROM '{output}/manifest/*.parquet' WHERE abs(pose.yaw) > 60"""
    assert duckdb.sql(query).fetchall() == [("/p/a.jpg", -70.0, 67.0, 80)]


def test_pandas_reads_a_manifest(output: Path):
    frame = pd.read_parquet(output / "manifest")
    assert frame["status"].value_counts().to_dict() == {"ok": 2, "failed": 1}
    assert frame["pose"][0]["yaw"] == -70 and len(frame["landmarks"][0]) == 68
    assert frame["quality"].isna().tolist() == [False, True, False]


def test_every_column_and_the_version_are_documented():
    text = DOCUMENT.read_text()
    documented = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert documented == MANIFEST_SCHEMA.names
    assert f"Version {SCHEMA_VERSION}" in text

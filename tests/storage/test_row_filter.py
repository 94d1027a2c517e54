import sys
from pathlib import Path

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from runs import face, row

from facerecon_ray.errors import InputError
from facerecon_ray.storage.row_filter import RowFilter
from facerecon_ray.storage.schema import MANIFEST_SCHEMA

ROWS = [
    face("/p/a.jpg", 10, 0.9),
    face("/p/b.jpg", -70, 0.95),
    row("/p/c.jpg", "no_face"),
    face("/q/d.jpg", 29, 0.81),
]


@pytest.mark.parametrize(
    ("condition", "photos"),
    [
        ("yaw < 30 and quality > 0.9", "b"),
        ("abs(yaw) < 30 and quality > 0.8", "ad"),
        ("photo_uri like '/p/%' and status != 'ok'", "c"),
        ("yaw is null or bbox_x1 > 100", "c"),
    ],
)
def test_rows_of_which_a_condition_is_true_are_selected_in_their_order(condition: str, photos: str) -> None:
    found = RowFilter(condition).select(pa.Table.from_pylist(ROWS, schema=MANIFEST_SCHEMA))
    assert found.schema == MANIFEST_SCHEMA
    assert [Path(uri).stem for uri in found["photo_uri"].to_pylist()] == list(photos)


@pytest.mark.parametrize(
    "condition",
    ["yaw <", "nope > 3", "yaw", "status = ok", "count(*) > 1", "1; drop table x", "", "*", "yaw < 3, pitch < 3"],
)
def test_what_is_no_condition_is_one_line_that_names_the_columns(condition: str) -> None:
    with pytest.raises(InputError, match=r"The columns are photo_uri, .* yaw, pitch, roll, ") as error:
        RowFilter(condition)
    assert len(str(error.value).splitlines()) == 1 and repr(condition) in str(error.value)


def test_a_condition_reads_no_files(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("limit\n1\n")
    with pytest.raises(InputError, match="disabled"):
        RowFilter(f"yaw < (select max(\"limit\") from read_csv('{tmp_path / 'secret.csv'}'))")

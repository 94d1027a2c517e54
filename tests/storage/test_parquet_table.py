import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facerecon_ray.storage.parquet_table import table_of

ROWS = pa.table({"name": ["a", None], "count": pa.array([1, 2], pa.int32()), "old": [True, False]})


def contents(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def test_a_table_follows_the_schema_that_is_wanted():
    data = contents(ROWS)
    assert table_of(data).equals(ROWS)
    new = pa.struct([("x", pa.float32())])
    schema = pa.schema([("count", pa.int64()), ("name", pa.string()), ("new", new)], {"version": "2"})
    expected = {"count": [1, 2], "name": ["a", None], "new": [None, None]}
    assert table_of(data, schema).equals(pa.table(expected, schema=schema), check_metadata=True)
    assert table_of(data, schema, ["new", "count"]).to_pydict() == {"new": [None, None], "count": [1, 2]}
    assert table_of(data, schema, ["new"]).num_rows == 2
    with pytest.raises(pa.ArrowInvalid):
        table_of(data, pa.schema([("name", pa.int64())]))


@pytest.mark.parametrize("damage", ["cut", "page"])
def test_a_damaged_file_is_invalid_wherever_the_damage_is(damage: str):
    data = contents(pa.table({"name": [f"photo {number}" for number in range(500)]}))
    with pytest.raises(pa.ArrowInvalid):
        table_of(data[:-4] if damage == "cut" else data[:40] + bytes(60) + data[100:])


def test_nothing_of_a_file_is_in_use_when_its_table_is_there():
    data = contents(pa.table({f"{number}": [float(number)] * 500 for number in range(40)}))
    free = sys.getrefcount(data)
    for _ in range(100):
        table_of(data)
        assert sys.getrefcount(data) == free

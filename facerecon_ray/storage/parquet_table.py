"""Parquet files that are in memory as tables."""

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq


def table_of(data: bytes, schema: pa.Schema | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of a Parquet file.

    Parameters
    ----------
    data : contents of the file
    schema : of the result; a column that the file lacks is null, and one that it has in vain is left out
    columns : names of those that are wanted, in their order; all without

    Raises
    ------
    pyarrow.ArrowException
        when the contents are damaged or do not fit the schema
    """
    try:
        return _table(data, schema, columns)
    except OSError as error:  # a damaged page, of a file that is in memory
        raise pa.ArrowInvalid(str(error)) from None


def _table(data: bytes, schema: pa.Schema | None, columns: Sequence[str] | None) -> pa.Table:
    # pyarrow's read_table lets go of the file in another thread, at times after it has returned, and aborts a process
    # that comes to its end meanwhile.
    file = pq.ParquetFile(io.BytesIO(data))
    if schema is None:
        return file.read(columns)
    fields = [schema.field(name) for name in columns or schema.names]
    there = set(file.schema_arrow.names)
    table = file.read([field.name for field in fields if field.name in there])
    rows = file.metadata.num_rows
    arrays = [
        table[field.name].cast(field.type) if field.name in there else pa.nulls(rows, field.type) for field in fields
    ]
    return pa.table(arrays, schema=pa.schema(fields, schema.metadata))

"""Conditions on rows of manifests as SQL, over the columns that `flatten` makes of them."""

from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from facerecon_ray.errors import InputError
from facerecon_ray.storage.schema import MANIFEST_SCHEMA

_ROW = "row number"


class RowFilter:
    """An SQL expression that is true or false of each row, such as "yaw < 30 and quality > 0.8".

    Parameters
    ----------
    condition : in DuckDB's SQL; it reads no files and changes nothing

    Raises
    ------
    InputError
        when it is no such expression, with the columns that there are
    """

    def __init__(self, condition: str) -> None:
        self._condition = condition
        self._selected(flatten(MANIFEST_SCHEMA.empty_table()))

    def select(self, table: pa.Table) -> pa.Table:
        """Rows of a manifest that meet it, in their order; a row of which it is unknown does not.

        Raises
        ------
        InputError
            when it cannot be worked out for a row
        """
        return table.take(self._selected(flatten(table)))

    def _selected(self, flat: pa.Table) -> pa.Array:
        """Numbers of the rows that meet it."""
        import duckdb

        numbered = flat.append_column(_ROW, pa.array(range(len(flat)), pa.int64()))
        try:
            rows = self._database.from_arrow(numbered)
            kind = rows.project(self._condition).types
            if [str(name) for name in kind] != ["BOOLEAN"]:
                raise self._mistake("it is no comparison, which is true or false of a row")
            found = rows.filter(self._condition).project(f'"{_ROW}"').fetchnumpy()[_ROW]
        except duckdb.Error as error:
            raise self._mistake(str(error).splitlines()[0]) from None
        return pa.array(sorted(found.tolist()), pa.int64())

    def _mistake(self, reason: str) -> InputError:
        names = ", ".join(flatten(MANIFEST_SCHEMA.empty_table()).column_names)
        return InputError(f"condition {self._condition!r}: {reason.rstrip('!.')}. The columns are {names}")

    @cached_property
    def _database(self):  # type: ignore[no-untyped-def]
        import duckdb

        safe: dict[str, str | bool | int | float | list[str]] = {
            "enable_external_access": "false",
            "lock_configuration": "true",
            "threads": "1",
        }
        return duckdb.connect(config=safe)


def flatten(table: pa.Table) -> pa.Table:
    """Rows with one number or text a column, for CSV and conditions.

    pose becomes yaw, pitch, roll; camera and timings get their name before their parts; bbox becomes bbox_x0 to
    bbox_y1. Landmarks, coefficients, transforms and what tells of persons, which are long, are left out.
    """
    columns = {}
    for column in filter(_is_flat, table.schema):
        values = table[column.name]
        if pa.types.is_struct(column.type):
            prefix = "" if column.name == "pose" else f"{column.name}_"
            for part in column.type:
                columns[prefix + part.name] = pc.struct_field(values, part.name)
        elif column.name == "bbox":
            for number, name in enumerate(("x0", "y0", "x1", "y1")):
                columns[f"bbox_{name}"] = pc.list_element(values, number)
        else:
            columns[column.name] = values
    return pa.table(columns)


def _is_flat(column: pa.Field) -> bool:
    if pa.types.is_struct(column.type) or column.name == "bbox":
        return True
    return not pa.types.is_nested(column.type) and not pa.types.is_binary(column.type)


FLAT_COLUMNS = [column.name for column in filter(_is_flat, MANIFEST_SCHEMA)]
"""Columns of the manifest of which something is left when they are flattened."""

"""An output of people: who belongs together, one row a person, and what the run was told."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from facerecon_ray.errors import MissingObjectError, OutputError, StorageError, StoreUnavailableError
from facerecon_ray.storage.arrow_columns import FLOATS
from facerecon_ray.storage.layout import IDENTITIES, PEOPLE, PEOPLE_FILES, PEOPLE_RECORD
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.parquet_table import table_of
from facerecon_ray.storage.uris import as_bytes

PEOPLE_VERSION = 1

_PART = re.compile(rf"{PEOPLE_FILES}/part-\d+\.parquet")
_KINDS = ("glb", "jpg", "js")
_PERSON_FILE = re.compile(rf"{PEOPLE_FILES}/([^/]+)\.({'|'.join(_KINDS)})")

FACE = pa.struct(
    [
        ("photo_uri", pa.string()),
        ("face_index", pa.int32()),
        ("used", pa.bool_()),  # false: its shape disagrees with the others'
        ("disagreement", pa.float32()),
        ("yaw", pa.float32()),  # degrees
        ("expression", FLOATS),  # standard deviations
    ]
)

PEOPLE_SCHEMA = pa.schema(
    [
        pa.field("person", pa.string(), nullable=False),
        pa.field("photos", pa.int32()),  # faces that were merged
        pa.field("faces", pa.list_(FACE)),
        pa.field("shape", FLOATS),  # standard deviations
        pa.field("deviation", FLOATS),  # standard deviations that are left open
        pa.field("spread", pa.float32()),  # millimetres
        pa.field("quality", pa.float32()),
        pa.field("mesh_uri", pa.string()),  # relative to the output folder
        pa.field("preview_uri", pa.string()),
        pa.field("members", pa.string()),  # of what it was made: a row is made anew when that changes
    ],
    metadata={"schema_version": str(PEOPLE_VERSION)},
)

IDENTITY_SCHEMA = pa.schema(
    [
        pa.field("photo_uri", pa.string(), nullable=False),
        pa.field("face_index", pa.int32(), nullable=False),
        pa.field("person", pa.string(), nullable=False),
    ]
)


class PeopleRecord(BaseModel):
    """Contents of people.json.

    input     output of the job whose faces these people have
    groups    whether a list says who is who
    finished  when the last run ended, ISO 8601; None while there is something left to do
    counts    people, faces of people, faces of nobody
    """

    facerecon_ray: str
    input: str
    groups: bool
    settings: dict[str, Any]
    finished: str | None = None
    counts: dict[str, int] = {}


class PeopleOutput:
    """People in an output folder."""

    def __init__(self, output: OutputFolder) -> None:
        self.output = output
        self._store = output.store

    def record(self) -> PeopleRecord | None:
        """What the earlier runs were told, None when there were none.

        Raises
        ------
        OutputError
            when it is there but cannot be read
        """
        try:
            return PeopleRecord.model_validate(json.loads(self._store.read(PEOPLE_RECORD)))
        except MissingObjectError:
            return None
        except StoreUnavailableError:
            raise
        except (StorageError, ValueError):
            raise OutputError(
                f"output {self.output.uri}: its {PEOPLE_RECORD} cannot be read; choose another"
            ) from None

    def save_record(self, record: PeopleRecord) -> None:
        """Write people.json."""
        self.output.write(
            PEOPLE_RECORD, as_bytes(json.dumps(record.model_dump(), indent=2, ensure_ascii=False) + "\n")
        )

    def identities(self) -> pa.Table:
        """Which face is whose."""
        return self._read(IDENTITIES, IDENTITY_SCHEMA)

    def save_identities(self, rows: pa.Table) -> None:
        """Write them, in place of earlier ones."""
        self.output.write(IDENTITIES, _parquet(rows.cast(IDENTITY_SCHEMA)))

    def people(self) -> pa.Table:
        """All rows that are there, those of an unfinished run too; of a person with several, the newest."""
        tables = [self._read(name, PEOPLE_SCHEMA) for name in (PEOPLE, *self._parts())]
        table = pa.concat_tables(tables)
        newest = {person: row for row, person in enumerate(table["person"].to_pylist())}
        return table.take(pa.array(sorted(newest.values()), pa.int64()))

    def save_part(self, number: int, rows: pa.Table) -> None:
        """Write rows of an unfinished run."""
        self.output.write(f"{PEOPLE_FILES}/part-{number:06d}.parquet", _parquet(rows.cast(PEOPLE_SCHEMA)))

    def next_part(self) -> int:
        """Number of the first part that is not there, after all that are."""
        numbers = [int(name.rpartition("-")[2].removesuffix(".parquet")) for name in self._parts()]
        return max(numbers, default=-1) + 1

    def save_people(self, rows: pa.Table) -> None:
        """Write all rows in one file, and delete the parts of the unfinished run."""
        parts = self._parts()
        self.output.write(PEOPLE, _parquet(rows.cast(PEOPLE_SCHEMA)))
        self.delete(parts)

    def delete_people(self, people: Iterable[str]) -> None:
        """Delete the files of persons."""
        self.delete(f"{PEOPLE_FILES}/{person}.{kind}" for person in people for kind in _KINDS)

    def delete(self, names: Iterable[str]) -> None:
        """Delete files; those that are not there are passed over."""
        for name in names:
            self._store.delete(name)

    def files(self) -> Iterator[str]:
        """Names of the persons' files, of pages and parts."""
        yield from (found.name for found in self._store.list(f"{PEOPLE_FILES}/"))

    def delete_others(self, people: Iterable[str]) -> None:
        """Delete the files of all persons but these."""
        kept = set(people)
        self.delete(
            name
            for name in list(self.files())
            if (match := _PERSON_FILE.fullmatch(name)) and match[1] not in kept and not _PART.fullmatch(name)
        )

    def _parts(self) -> list[str]:
        return sorted(name for name in self.files() if _PART.fullmatch(name))

    def _read(self, name: str, schema: pa.Schema) -> pa.Table:
        try:
            return table_of(self._store.read(name), schema)
        except MissingObjectError:
            return schema.empty_table()
        except (OSError, pa.ArrowException) as error:
            reason, where = str(error).splitlines()[0], self._store.describe(name)
            raise OutputError(
                f"{where} cannot be read ({reason}); delete it and start the same command again"
            ) from None


def _parquet(rows: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(rows, buffer, compression="zstd")
    return bytes(buffer.getvalue().to_pybytes())

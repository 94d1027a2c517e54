"""What every run leaves behind: its figures, one Parquet file a run, in a folder or a bucket.

    HISTORY/run-20260101T031500Z-1f3a9c.parquet

Runs never write to each other's files, so two at once do no harm and a run that dies leaves the others whole.
"""

import io
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from facerecon_ray.errors import StorageError
from facerecon_ray.evaluation.figures import Figure
from facerecon_ray.storage.objects import ObjectStore
from facerecon_ray.storage.parquet_table import table_of

PREFIX, SUFFIX = "run-", ".parquet"

HISTORY_SCHEMA = pa.schema(
    [
        pa.field("time", pa.timestamp("s", tz="UTC"), nullable=False),
        pa.field("comparable", pa.string(), nullable=False),  # runs of one value had the same data and protocol
        pa.field("git_commit", pa.string()),
        pa.field("version", pa.string()),
        pa.field("data", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Night:
    """One earlier run.

    time        when it started
    comparable  equal for runs on the same data with the same protocol
    git_commit  of the code, None where it was not known
    version     of the package
    figures     all of them
    """

    time: datetime
    comparable: str
    git_commit: str | None
    version: str
    figures: tuple[Figure, ...]


def read_history(store: ObjectStore) -> list[Night]:
    """Earlier runs, the latest last; a file that is no run's is passed over.

    Raises
    ------
    StorageError
        when the store does not answer
    """
    nights = []
    for found in store.list(PREFIX):
        if found.name.endswith(SUFFIX):
            night = _night(store.read(found.name))
            if night is not None:
                nights.append(night)
    return sorted(nights, key=lambda night: night.time)


def append_to_history(store: ObjectStore, night: Night) -> str:
    """Write a run's figures; the name of its file.

    Raises
    ------
    StorageError
        when it cannot be written
    """
    shared = {
        "time": night.time,
        "comparable": night.comparable,
        "git_commit": night.git_commit,
        "version": night.version,
    }
    table = pa.Table.from_pylist([shared | asdict(figure) for figure in night.figures], schema=HISTORY_SCHEMA)
    data = io.BytesIO()
    pq.write_table(table, data)
    name = f"{PREFIX}{night.time.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}{SUFFIX}"
    if not store.write_if_absent(name, data.getvalue()):
        raise StorageError(f"{store.describe(name)} exists already; run the evaluation again")
    return name


def comparable_figures(nights: Sequence[Night], comparable: str) -> list[tuple[Figure, ...]]:
    """Figures of the runs with the same data and protocol, the latest last."""
    return [night.figures for night in nights if night.comparable == comparable]


def _night(data: bytes) -> Night | None:
    try:
        rows = table_of(data).cast(HISTORY_SCHEMA).to_pylist()
    except (pa.ArrowException, ValueError):
        return None
    if not rows:
        return None
    figures = tuple(Figure(**{name: row[name] for name in Figure.__dataclass_fields__}) for row in rows)
    first = rows[0]
    return Night(first["time"], first["comparable"], first["git_commit"], first["version"], figures)

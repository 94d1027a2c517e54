"""Shards of a training data set: Parquet files of whole subjects, each with a summary beside it that is written last.

shards/part-000000.parquet   the rows of a run of subjects, a row group for each subject
shards/part-000000.json      what is in it; while that is missing, the shard is not done
"""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from facerecon_ray.errors import MissingObjectError, StorageError
from facerecon_ray.storage.layout import SHARDS
from facerecon_ray.storage.objects import ObjectStore
from facerecon_ray.storage.pairs.pair_schema import IMAGES, MASKS, PAIR_SCHEMA, PAIR_SCHEMA_VERSION, pair_arrays

SIZE = 256
YAW_BIN = 22.5

READERS = 16
"""Summaries are read by that many threads at once: they are many, small, and may lie far away."""

_SUMMARY = re.compile(rf"{SHARDS}/part-(\d+)\.json")


class ShardSummary(BaseModel):
    """What a shard holds.

    first, subjects   number of its first subject, and how many there are
    rows, bytes       of the Parquet file
    sha256            of the Parquet file
    counts            rows by split, status, yaw bin and attribute
    seconds           processor seconds by step of the work
    """

    first: int
    subjects: int
    rows: int
    bytes: int
    sha256: str
    counts: dict[str, dict[str, int]]
    seconds: dict[str, float] = {}


def write_shard(
    store: ObjectStore, index: int, subjects: Sequence[pa.Table], first: int, seconds: dict[str, float]
) -> ShardSummary:
    """Write a shard and then its summary.

    Parameters
    ----------
    store : of the data set
    index : number of the shard
    subjects : rows of each subject
    first : number of the first subject
    seconds : processor seconds by step

    Raises
    ------
    StorageError
        when the store does not take it, for instance because the disk is full; what was there before stays
    """
    data = _parquet(subjects)
    summary = ShardSummary(
        first=first,
        subjects=len(subjects),
        rows=sum(map(len, subjects)),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        counts=_counts(pa.concat_tables(table.drop_columns([*IMAGES, *MASKS, "position_map"]) for table in subjects)),
        seconds={name: round(value, 3) for name, value in seconds.items()},
    )
    store.write(shard_name(index), data)
    store.write(shard_name(index, "json"), summary.model_dump_json(indent=1).encode())
    return summary


def shard_summaries(store: ObjectStore) -> dict[int, ShardSummary]:
    """Summaries of the shards that are done, by number.

    Raises
    ------
    StorageError
        when a summary cannot be read
    """
    found = filter(None, (_SUMMARY.fullmatch(stored.name) for stored in store.list(f"{SHARDS}/")))
    names = {int(match[1]): match[0] for match in found}
    with ThreadPoolExecutor(READERS) as readers:
        return dict(zip(names, readers.map(partial(_summary, store), names.values()), strict=True))


def intact_shards(store: ObjectStore) -> dict[int, ShardSummary]:
    """Those of the shards that are done whose file is there, of the length that its summary says.

    Raises
    ------
    StorageError
        when a summary cannot be read
    """
    sizes = {found.name: found.size for found in store.list(f"{SHARDS}/")}
    return {i: shard for i, shard in shard_summaries(store).items() if sizes.get(shard_name(i)) == shard.bytes}


def delete_shards(store: ObjectStore) -> None:
    """Delete all shards, of each its summary first: a shard with a summary counts as done."""
    names = [stored.name for stored in store.list(f"{SHARDS}/part-")]
    for name in sorted(names, key=lambda name: name.endswith(".parquet")):
        store.delete(name)


def read_pairs(
    store: ObjectStore,
    split: str | None = None,
    status: str | None = "ok",
    columns: Sequence[str] | None = None,
    shards: Sequence[int] | None = None,
    skipped: Callable[[str], None] | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Rows of a data set as arrays, a batch for each subject that has any.

    Parameters
    ----------
    store : of the data set
    split : train, validation or test; all without one
    status : ok or failed; all without one
    columns : of PAIR_SCHEMA; all without any
    shards : numbers; all that are done without any
    skipped : is told why a row was left out whose pictures or map are damaged; without it such a row is an error

    Raises
    ------
    StorageError
        when a shard is missing or damaged, or of another version, with its name
    """
    wanted = list(dict.fromkeys([*(columns or PAIR_SCHEMA.names)]))
    for index in sorted(shard_summaries(store)) if shards is None else shards:
        name = shard_name(index)
        try:
            file = pq.ParquetFile(io.BytesIO(store.read(name)))
            _check_columns(store.describe(name), file.schema_arrow, wanted)
            for group in range(file.num_row_groups):
                rows = _chosen(file, group, wanted, split, status)
                if len(rows) and (arrays := _decoded(rows, skipped)):
                    yield arrays
        except MissingObjectError:
            raise
        except (OSError, ValueError, pa.ArrowException, StorageError) as error:
            if isinstance(error, StorageError) and store.describe(name) in str(error):
                raise
            raise StorageError(
                f"{store.describe(name)} is damaged ({str(error).splitlines()[0]}); delete it and its .json, and the "
                "same command makes it again"
            ) from None


def first_failure(store: ObjectStore) -> str:
    """Why the first view that failed could not be made."""
    failed = read_pairs(store, status="failed", columns=["error"])
    return str(next((error for rows in failed for error in rows["error"]), ""))


def _summary(store: ObjectStore, name: str) -> ShardSummary:
    try:
        return ShardSummary.model_validate_json(store.read(name))
    except ValidationError:
        raise StorageError(
            f"{store.describe(name)} is damaged; delete it, and the same command makes the shard again"
        ) from None


def _chosen(file: pq.ParquetFile, group: int, columns: list[str], split: str | None, status: str | None) -> pa.Table:
    """Rows of a row group; the large columns are read only when there is a row of that split and status."""
    marks = file.read_row_group(group, columns=["split", "status"])
    keep = np.ones(len(marks), bool)
    for name, value in (("split", split), ("status", status)):
        if value is not None:
            keep &= pc.equal(marks[name], value).to_numpy(zero_copy_only=False)
    if not keep.any():
        return marks.slice(0, 0)
    return file.read_row_group(group, columns=columns).filter(pa.array(keep)).select(columns)


def _decoded(rows: pa.Table, skipped: Callable[[str], None] | None) -> dict[str, np.ndarray]:
    """Rows as arrays; where one is damaged, those of the others, none if there is no other."""
    try:
        return pair_arrays(rows, SIZE)
    except StorageError as error:
        if skipped is None:
            raise
        if len(rows) == 1:
            skipped(str(error))
            return {}
    parts = [part for row in range(len(rows)) if (part := _decoded(rows.slice(row, 1), skipped))]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _check_columns(shard: str, schema: pa.Schema, wanted: list[str]) -> None:
    version = (schema.metadata or {}).get(b"schema_version", b"?").decode()
    missing = [name for name in wanted if name not in schema.names]
    if missing or not version.isdigit() or int(version) > PAIR_SCHEMA_VERSION:
        what = f"it has no column {missing[0]!r}" if missing else "this program does not know that version"
        raise StorageError(
            f"{shard} has rows of version {version}, this program's are of version {PAIR_SCHEMA_VERSION}, and {what}; "
            "make the data set again"
        )


def _parquet(subjects: Sequence[pa.Table]) -> bytes:
    buffer = io.BytesIO()
    compression = {name: "NONE" if name in (*IMAGES, *MASKS) else "ZSTD" for name in _leaves(PAIR_SCHEMA)}
    plain = [name for name in PAIR_SCHEMA.names if not pa.types.is_binary(PAIR_SCHEMA.field(name).type)]
    with pq.ParquetWriter(buffer, PAIR_SCHEMA, compression=compression, use_dictionary=plain) as writer:
        for table in subjects:
            writer.write_table(table)
    return buffer.getvalue()


def _leaves(schema: pa.Schema) -> list[str]:
    """Names of the leaf columns as Parquet knows them."""
    buffer = io.BytesIO()
    pq.write_table(schema.empty_table(), buffer)
    parquet = pq.ParquetFile(buffer).schema
    return [parquet.column(i).path for i in range(len(parquet.names))]


def _counts(rows: pa.Table) -> dict[str, dict[str, int]]:
    arrays = pair_arrays(rows, SIZE)
    counts: dict[str, Counter[str]] = {name: Counter(arrays[name].tolist()) for name in ("split", "status")}
    yaw = arrays["pose"][:, 0]
    lowest = np.floor(yaw[~np.isnan(yaw)] / YAW_BIN) * YAW_BIN
    counts["yaw"] = Counter(f"{low:g} to {low + YAW_BIN:g}" for low in lowest)
    for attributes in arrays["attributes"]:
        for name, value in attributes.items():
            counts.setdefault(name, Counter())[_bin(value)] += 1
    return {name: dict(sorted(counter.items())) for name, counter in counts.items()}


def _bin(value: Any) -> str:
    """An attribute's value; for a number the tenth of one, beyond one the tens within which it lies."""
    if isinstance(value, float):
        width = 0.1 if 0.0 <= value <= 1.0 else 10.0
        low = min(np.floor(value / width + 1e-9), 9.0 if width < 1.0 else np.inf) * width
        return f"{low:.3g} to {low + width:.3g}"
    return str(value)


def shard_name(index: int, suffix: str = "parquet") -> str:
    """Name of a shard's file, or with the suffix json of its summary."""
    return f"{SHARDS}/part-{index:06d}.{suffix}"

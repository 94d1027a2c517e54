import hashlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facerecon_ray.errors import StorageError
from facerecon_ray.storage.objects import ObjectStore, open_store
from facerecon_ray.storage.pairs.pair_schema import PAIR_SCHEMA, PAIR_SCHEMA_VERSION, pair_rows
from facerecon_ray.storage.pairs.pair_shards import (
    delete_shards,
    intact_shards,
    read_pairs,
    shard_summaries,
    write_shard,
)

sys.path.insert(0, str(Path(__file__).parents[1]))
from pairs import pair_batch


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """Two shards of two subjects; the third subject is for tests."""
    store = open_store(tmp_path)
    for index in range(2):
        subjects = [pair_batch(number, "test" if number == 2 else "train") for number in (2 * index, 2 * index + 1)]
        write_shard(store, index, [pair_rows(s, "jpeg") for s in subjects], 2 * index, {"photos": 1.5})
    return store


def test_rows_are_read_by_split_and_status(store: ObjectStore) -> None:
    train = list(read_pairs(store, split="train"))
    assert [int(batch["subject"][0]) for batch in train] == [0, 1, 3]
    assert [batch["view"].tolist() for batch in train] == [[0, 2]] * 3
    (failed,) = read_pairs(store, split="test", status="failed", columns=["subject", "error"])
    assert {name: values.tolist() for name, values in failed.items()} == {"subject": [2], "error": ["the fit failed"]}
    assert sum(len(batch["view"]) for batch in read_pairs(store, status=None, columns=["view"])) == 12


def test_arrays_are_those_that_were_written(store: ObjectStore) -> None:
    (batch,) = read_pairs(store, split="test", shards=[1], status=None)
    written = pair_batch(2, "test")
    for name in ("position_map", "landmarks_3d", "shape", "pose", "view"):
        np.testing.assert_array_equal(batch[name], written[name], err_msg=name)


def test_summary_counts_rows_and_has_the_files_checksum(store: ObjectStore, tmp_path: Path) -> None:
    summary = shard_summaries(store)[1]
    data = (tmp_path / "shards" / "part-000001.parquet").read_bytes()
    assert (summary.first, summary.subjects, summary.rows, summary.bytes) == (2, 2, 6, len(data))
    assert summary.sha256 == hashlib.sha256(data).hexdigest()
    assert summary.counts["split"] == {"test": 3, "train": 3}
    assert summary.counts["status"] == {"failed": 2, "ok": 4}
    assert summary.counts["age"] == {"30 to 40": 6}
    assert summary.counts["gender"] == {"0.2 to 0.3": 6}
    assert summary.counts["yaw"] == {"0 to 22.5": 6}


def test_a_shard_without_a_summary_is_not_done(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "shards" / "part-000000.json").unlink()
    assert list(shard_summaries(store)) == [1]


def test_a_shard_whose_file_is_empty_or_gone_is_to_be_made_again_and_no_rows_are_missed(
    store: ObjectStore, tmp_path: Path
) -> None:
    assert list(intact_shards(store)) == [0, 1]
    (tmp_path / "shards" / "part-000000.parquet").write_bytes(b"")
    assert list(intact_shards(store)) == [1]
    with pytest.raises(StorageError, match=r"part-000000\.parquet is damaged"):
        list(read_pairs(store))
    (tmp_path / "shards" / "part-000000.parquet").unlink()
    assert list(intact_shards(store)) == [1]
    with pytest.raises(StorageError, match=r"part-000000\.parquet does not exist"):
        list(read_pairs(store))


def test_the_same_subjects_give_the_same_bytes(store: ObjectStore, tmp_path: Path) -> None:
    other = open_store(tmp_path / "other")
    tables = [pair_rows(pair_batch(0, "train"), "jpeg"), pair_rows(pair_batch(1, "train"), "jpeg")]
    assert write_shard(other, 0, tables, 0, {}).sha256 == shard_summaries(store)[0].sha256


def test_a_subject_is_a_row_group_of_its_own(store: ObjectStore, tmp_path: Path) -> None:
    file = pq.ParquetFile(tmp_path / "shards" / "part-000000.parquet")
    assert [file.read_row_group(i)["subject"].unique().to_pylist() for i in range(file.num_row_groups)] == [[0], [1]]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_shard_is_named(store: ObjectStore, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "shards" / "part-000001.parquet"
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
    path.write_bytes({"cut": data[: len(data) // 2], "flipped": data, "empty": b""}[damage])
    with pytest.raises(StorageError, match=r"part-000001\.parquet is damaged .*delete it"):
        list(read_pairs(store))


def test_a_missing_shard_is_named(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "shards" / "part-000001.parquet").unlink()
    with pytest.raises(StorageError, match=r"part-000001\.parquet"):
        list(read_pairs(store))


def test_a_damaged_summary_is_named(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "shards" / "part-000001.json").write_text(json.dumps({"rows": 3}))
    with pytest.raises(StorageError, match=r"part-000001\.json is damaged; delete it"):
        shard_summaries(store)


def test_deleting_removes_every_shard(store: ObjectStore) -> None:
    store.write("shards/notes.txt", b"mine")
    delete_shards(store)
    assert [stored.name for stored in store.list()] == ["shards/notes.txt"]


def damaged(store: ObjectStore, column: str, row: int) -> None:
    """Give a row of subject 1 bytes that are no picture."""
    rows = pair_rows(pair_batch(1, "train"), "jpeg")
    values = rows[column].to_pylist()
    values[row] = b"no picture"
    index = rows.schema.get_field_index(column)
    rows = rows.set_column(index, PAIR_SCHEMA.field(column), pa.array(values, pa.binary()))
    write_shard(store, 0, [pair_rows(pair_batch(0, "train"), "jpeg"), rows], 0, {})


@pytest.mark.parametrize("column", ["crop", "rotated", "rotated_seen", "position_map"])
def test_a_damaged_row_is_left_out_and_said_and_the_subjects_others_come(store: ObjectStore, column: str) -> None:
    damaged(store, column, row=0)
    reasons: list[str] = []
    found = list(read_pairs(store, "train", columns=["subject", "view", column], shards=[0], skipped=reasons.append))
    assert [(int(batch["subject"][0]), batch["view"].tolist()) for batch in found] == [(0, [0, 2]), (1, [2])]
    (reason,) = reasons
    assert "its bytes are not a picture" in reason or "are not a position map" in reason
    with pytest.raises(StorageError, match=r"part-000000\.parquet is damaged .*delete it"):
        list(read_pairs(store, columns=["view", column], shards=[0]))


def test_a_subject_without_a_whole_row_is_left_out(store: ObjectStore) -> None:
    batch = pair_batch(1, "train", ("ok",))
    rows = pair_rows(batch, "jpeg")
    index = rows.schema.get_field_index("crop")
    rows = rows.set_column(index, PAIR_SCHEMA.field("crop"), pa.array([b"no picture"], pa.binary()))
    write_shard(store, 0, [pair_rows(pair_batch(0, "train"), "jpeg"), rows], 0, {})
    reasons: list[str] = []
    found = list(read_pairs(store, columns=["subject", "crop"], shards=[0], skipped=reasons.append))
    assert [batch["subject"].tolist() for batch in found] == [[0, 0]]
    assert len(reasons) == 1


def test_a_damaged_column_that_nobody_wants_does_no_harm(store: ObjectStore) -> None:
    damaged(store, "rotated", row=0)
    assert sum(len(batch["view"]) for batch in read_pairs(store, columns=["view", "crop"], shards=[0])) == 4


def rewritten(store: ObjectStore, version: str | None, without: str | None = None) -> None:
    """Write shard 0 as another version of the program would."""
    rows = pq.read_table(io.BytesIO(store.read("shards/part-000000.parquet")))
    rows = rows.drop_columns([without] if without else [])
    rows = rows.replace_schema_metadata({"schema_version": version} if version else None)
    buffer = io.BytesIO()
    pq.write_table(rows, buffer)
    store.write("shards/part-000000.parquet", buffer.getvalue())


@pytest.mark.parametrize("version", [str(PAIR_SCHEMA_VERSION + 1), "next", None])
def test_a_shard_of_a_version_that_is_not_known_is_named(store: ObjectStore, version: str | None) -> None:
    rewritten(store, version)
    message = r"part-000000\.parquet has rows of version .* this program does not know that version; make the data set"
    with pytest.raises(StorageError, match=message) as error:
        list(read_pairs(store, columns=["view"]))
    assert "damaged" not in str(error.value)


def test_an_older_shard_is_read_and_a_column_that_it_lacks_is_named(store: ObjectStore) -> None:
    rewritten(store, "1", without="fitted_shape")
    assert sum(len(batch["view"]) for batch in read_pairs(store, columns=["view", "shape"], shards=[0])) == 4
    with pytest.raises(StorageError, match=r"part-000000\.parquet has rows of version 1.* no column 'fitted_shape'"):
        list(read_pairs(store, columns=["view", "fitted_shape"], shards=[0]))

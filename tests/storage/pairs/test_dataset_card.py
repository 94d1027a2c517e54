import hashlib
from pathlib import Path

import pytest

from facerecon_ray.errors import AssetError, OutputError
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.dataset_card import (
    DatasetCard,
    card_of_shards,
    checksum,
    load_card,
    new_card,
    save_card,
)
from facerecon_ray.storage.pairs.pair_shards import ShardSummary, shard_name


def summary(first: int, yaw: dict[str, int]) -> ShardSummary:
    return ShardSummary(
        first=first, subjects=2, rows=16, bytes=100, sha256=f"{first}", counts={"yaw": yaw}, seconds={"photos": 1.25}
    )


def card() -> DatasetCard:
    return new_card({"views": {"pitch": 25.0}}, seed=3, subjects=4, assets={"face_model": "abc"})


def test_counts_of_all_shards_are_added_and_bins_are_in_the_order_of_their_numbers() -> None:
    made = card()
    made.summarise({1: summary(2, {"-90 to -67.5": 9, "0 to 22.5": 7}), 0: summary(0, {"0 to 22.5": 16})}, wanted=2)
    assert (made.status, made.rows, made.bytes) == ("complete", 32, 200)
    assert list(made.counts["yaw"].items()) == [("-90 to -67.5", 9), ("0 to 22.5", 23)]
    assert [shard.file for shard in made.shards] == ["shards/part-000000.parquet", "shards/part-000001.parquet"]
    assert made.seconds == {"photos": 2.5}


def test_a_set_with_missing_shards_is_incomplete() -> None:
    made = card()
    made.summarise({0: summary(0, {})}, wanted=2)
    assert made.status == "incomplete"


def test_the_card_of_a_set_that_was_cut_off_counts_the_shards_that_are_there(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert card_of_shards(store) is None
    save_card(store, card())
    shard = summary(0, {"0 to 22.5": 16})
    store.write(shard_name(0, "json"), shard.model_dump_json().encode())
    found = card_of_shards(store)
    assert found is not None
    assert (found.status, found.rows, found.counts["yaw"]) == ("incomplete", 16, {"0 to 22.5": 16})
    assert [entry.file for entry in found.shards] == ["shards/part-000000.parquet"]


def test_a_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    store, made = open_store(tmp_path), card()
    assert load_card(store) is None
    save_card(store, made)
    assert load_card(store) == made


def test_a_file_that_is_no_card_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(OutputError, match=r"dataset\.json is not the card"):
        load_card(open_store(tmp_path))


def test_checksum_is_sha256_and_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert checksum(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(AssetError, match="missing"):
        checksum(tmp_path / "missing")

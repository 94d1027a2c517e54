"""dataset.json: the card of a training data set, which says what is in it and how to make it again."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import AssetError, InputError, MissingObjectError, OutputError
from facerecon_ray.storage.layout import CARD
from facerecon_ray.storage.objects import ObjectStore, open_store
from facerecon_ray.storage.pairs.pair_schema import PAIR_SCHEMA_VERSION
from facerecon_ray.storage.pairs.pair_shards import ShardSummary, shard_name, shard_summaries
from facerecon_ray.storage.software import machine, versions
from facerecon_ray.storage.starts import Start
from facerecon_ray.storage.uris import as_bytes

GENERATOR_VERSION = 9
"""Raised whenever the same settings and the same seed begin to give other pictures."""

_VERSIONED = ("facerecon-ray", "anny", "numpy", "torch", "opencv-python-headless", "dlib-bin", "pyrender2", "pyarrow")


class ShardEntry(BaseModel):
    """One shard: its file relative to the card, its length in bytes and rows, and its checksum."""

    file: str
    bytes: int
    rows: int
    sha256: str


class MakingRun(Start):
    """One start of the command."""

    views: int = 0


class DatasetCard(BaseModel):
    """Contents of dataset.json.

    generator       version of what makes the pictures: equal for equal pictures from equal settings
    schema_version  of the rows
    seed, subjects  what the set was made from
    settings        all settings that decide what is in it, with their ranges
    assets          sha256 of the files that take part: face model, landmark predictor, photos
    versions, host  of what it was made with
    status          complete when every shard is there
    rows, bytes     of all shards
    counts          rows by split, status, yaw bin and attribute
    seconds         processor seconds by step of the work
    shards          in their order
    runs            starts of the command
    """

    generator: int
    schema_version: int
    seed: int
    subjects: int
    settings: dict[str, Any]
    assets: dict[str, str]
    versions: dict[str, str]
    host: dict[str, Any]
    status: Literal["incomplete", "complete"] = "incomplete"
    rows: int = 0
    bytes: int = 0
    counts: dict[str, dict[str, int]] = {}
    seconds: dict[str, float] = {}
    shards: list[ShardEntry] = []
    runs: list[MakingRun] = []

    @property
    def fruitless(self) -> bool:
        """Whether there are rows, and every one of them failed."""
        return self.rows > 0 and not self.counts["status"].get("ok")

    def summarise(self, shards: dict[int, ShardSummary], wanted: int) -> None:
        """Take over what the shards hold; `wanted` shards make the set complete."""
        self.count(shards)
        self.status = "complete" if len(shards) == wanted else "incomplete"

    def count(self, shards: dict[int, ShardSummary]) -> None:
        """Take over what the shards hold."""
        counts: dict[str, Counter[str]] = {}
        seconds: Counter[str] = Counter()
        for index in sorted(shards):
            for name, by_value in shards[index].counts.items():
                counts.setdefault(name, Counter()).update(by_value)
            seconds.update(shards[index].seconds)
        self.rows = sum(shard.rows for shard in shards.values())
        self.bytes = sum(shard.bytes for shard in shards.values())
        self.counts = {name: dict(sorted(counter.items(), key=_numbers_first)) for name, counter in counts.items()}
        self.seconds = {name: round(value, 1) for name, value in seconds.items()}
        self.shards = [
            ShardEntry(file=shard_name(index), bytes=shard.bytes, rows=shard.rows, sha256=shard.sha256)
            for index, shard in sorted(shards.items())
        ]


def new_card(settings: dict[str, Any], seed: int, subjects: int, assets: dict[str, str]) -> DatasetCard:
    """Card of a set of which nothing is made yet."""
    return DatasetCard(
        generator=GENERATOR_VERSION,
        schema_version=PAIR_SCHEMA_VERSION,
        seed=seed,
        subjects=subjects,
        settings=settings,
        assets=assets,
        versions=versions(_VERSIONED),
        host=machine(),
    )


def load_card(store: ObjectStore) -> DatasetCard | None:
    """Card of a data set, None where there is none.

    Raises
    ------
    OutputError
        when dataset.json is there but is no card
    """
    try:
        return DatasetCard.model_validate(json.loads(store.read(CARD)))
    except MissingObjectError:
        return None
    except ValueError:
        raise OutputError(f"{store.describe(CARD)} is not the card of a data set; choose another output") from None


def open_data_set(uri: str, s3: S3Settings | None = None) -> ObjectStore:
    """Store of a data set, a folder or s3://BUCKET/PREFIX.

    Raises
    ------
    InputError
        when nothing there has a card
    OutputError
        when dataset.json is there but is no card
    """
    store = open_store(uri, s3)
    if load_card(store) is None:
        raise InputError(f"data {store.uri}: no data set; `facerecon synthesize --output {uri}` makes one")
    return store


def card_of_shards(store: ObjectStore) -> DatasetCard | None:
    """Card of a data set with what its shards hold: that of a set whose making was cut off was written before them.

    Raises
    ------
    OutputError
        when dataset.json is there but is no card
    StorageError
        when a shard's summary cannot be read
    """
    card = load_card(store)
    if card is not None and card.status == "incomplete":
        card.count(shard_summaries(store))
    return card


def save_card(store: ObjectStore, card: DatasetCard) -> None:
    """Write dataset.json."""
    store.write(CARD, packed_card(card))


def packed_card(card: DatasetCard) -> bytes:
    """A card as it is written."""
    return as_bytes(json.dumps(card.model_dump(), indent=2, ensure_ascii=False) + "\n")


def checksum(path: Path) -> str:
    """sha256 of a file.

    Raises
    ------
    AssetError
        when it cannot be read
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AssetError(f"{path}: {error.strerror}") from None


def _numbers_first(item: tuple[str, int]) -> tuple[float, str]:
    """Order of bins by their lower end, and of names by the alphabet."""
    try:
        return float(item[0].split(" to ")[0]), ""
    except ValueError:
        return float("inf"), item[0]

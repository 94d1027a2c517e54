"""Run on the store's host; prints JSON.

photos COUNT       puts so many photos into the store
clay               puts pairs to train on into the store
made KIND PLACE    names of what a job of a kind has made there, each as often as it is there
"""

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import facerecon_ray
from facerecon_ray.storage.layout import FIGURES
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.pairs.pair_shards import shard_name, shard_summaries
from facerecon_ray.storage.schema import URIS

BUCKET = "s3://work"


def put_photos(count: str) -> None:
    store, folder = open_store(f"{BUCKET}/photos"), Path(facerecon_ray.__file__).parent / "assets" / "photos"
    files = sorted(folder.glob("*.jpg"))
    for number in range(int(count)):
        store.write(f"{number:03d}.jpg", files[number % len(files)].read_bytes())


def put_clay() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
    from training_pairs import write_pairs

    write_pairs(f"{BUCKET}/clay")


def made(kind: str, place: str) -> list[str]:
    return list(MADE[kind](f"{BUCKET}/{place}"))


def faces(place: str) -> Iterator[str]:
    """Faces whose meshes are there."""
    store = open_store(place)
    for table in Manifest(OutputFolder(place)).tables():
        for row in table.to_pylist():
            if all(store.exists(row[name]) for name in URIS if row[name]):
                yield f"{row['photo_uri'].rpartition('/')[2]} {row['face_index']} {verdict(row)}"


def views(place: str) -> Iterator[str]:
    """Views of subjects."""
    store = open_store(place)
    for index in shard_summaries(store):
        for row in parquet(store.read(shard_name(index))):
            yield f"{row['subject']} {row['view']} {verdict(row)}"


def measurements(place: str) -> Iterator[str]:
    """Rows of an evaluation, of which those that could not be used have no yaw, and the files in its history."""
    for row in parquet(open_store(place).read("rows.parquet")):
        yield f"{row['item']} {row['model']} {row['yaw']} {row['pitch']} {verdict(row)}"
    yield from ("history" for _ in open_store(f"{place}-history").list())


def validations(place: str) -> Iterator[str]:
    """Steps after which a training was measured."""
    return (f"{entry['step']}" for entry in json.loads(open_store(place).read(FIGURES)))


def verdict(row: dict[str, Any]) -> str:
    return f"{row['status']} {row['error'] or ''}".strip()


def parquet(data: bytes) -> Iterable[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
    return rows


MADE = {"reconstruct": faces, "synthesize": views, "evaluate": measurements, "train": validations}
COMMANDS: dict[str, Callable[..., Any]] = {"photos": put_photos, "clay": put_clay, "made": made}

if __name__ == "__main__":
    what, *words = sys.argv[1:]
    json.dump(COMMANDS[what](*words), sys.stdout)

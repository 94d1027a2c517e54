"""Run on an isolated host; prints JSON.

nodes COUNT              waits until just so many nodes of the cluster live, and the store answers
photos COUNT             puts so many photos into the store
clay                     puts pairs to train on into the store
made KIND PLACE          names of what a job of a kind has made there, each as often as it is there
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import requests

import facerecon_ray
from facerecon_ray.errors import FaceReconError
from facerecon_ray.storage.layout import FIGURES
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.pairs.pair_shards import shard_summaries
from facerecon_ray.storage.schema import URIS

BUCKET = "s3://work"
SECONDS = 200.0


def wait_for_nodes(count: int) -> None:
    deadline = time.monotonic() + SECONDS
    while live_nodes() != count:
        if time.monotonic() > deadline:
            raise SystemExit("waited in vain")
        time.sleep(0.3)


def live_nodes() -> int:
    header = {"Authorization": f"Bearer {os.environ['RAY_AUTH_TOKEN']}"}
    try:
        open_store(BUCKET).exists("anything")
        answer = requests.get(f"{os.environ['RAY_API_SERVER_ADDRESS']}/nodes?view=summary", headers=header, timeout=5)
        found = answer.json()["data"]["summary"]
    except (requests.RequestException, FaceReconError, ValueError, KeyError):
        return 0
    return sum(node.get("raylet", {}).get("state") == "ALIVE" for node in found)


def put_photos(count: int) -> None:
    store, folder = open_store(f"{BUCKET}/photos"), Path(facerecon_ray.__file__).parent / "assets" / "photos"
    files = sorted(folder.glob("*.jpg"))
    for number in range(count):
        store.write(f"{number:03d}.jpg", files[number % len(files)].read_bytes())


def put_clay() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
    from training_pairs import write_pairs

    write_pairs(f"{BUCKET}/clay")


def faces(place: str) -> Iterator[str]:
    """Faces whose meshes are there."""
    store = open_store(place)
    for table in Manifest(OutputFolder(place)).tables():
        for row in table.to_pylist():
            if all(store.exists(row[name]) for name in URIS if row[name]):
                yield f"{row['photo_uri'].rpartition('/')[2]} {row['face_index']}"


def views(place: str) -> Iterator[str]:
    """Views of subjects."""
    store = open_store(place)
    for index in shard_summaries(store):
        for row in parquet(store.read(f"shards/part-{index:06d}.parquet")):
            yield f"{row['subject']} {row['view']}"


def measurements(place: str) -> Iterator[str]:
    """Rows of an evaluation, and what it left in the history."""
    for row in parquet(open_store(place).read("rows.parquet")):
        yield f"{row['item']} {row['model']} {row['yaw']:g} {row['pitch']:g}"
    history = open_store(f"{place}-history")
    for entry in history.list("run-"):
        for row in parquet(history.read(entry.name)):
            yield f"history {row['model']} {row['group']} {row['metric']}"


def validations(place: str) -> Iterator[str]:
    """Steps after which a training was measured."""
    return (f"{entry['step']}" for entry in json.loads(open_store(place).read(FIGURES)))


def parquet(data: bytes) -> Iterable[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
    return rows


MADE = {"reconstruct": faces, "synthesize": views, "evaluate": measurements, "train": validations}
COMMANDS: dict[str, Callable[..., Any]] = {
    "nodes": lambda count: wait_for_nodes(int(count)),
    "photos": lambda count: put_photos(int(count)),
    "clay": put_clay,
    "made": lambda kind, place: list(MADE[kind](f"{BUCKET}/{place}")),
}

if __name__ == "__main__":
    what, *words = sys.argv[1:]
    json.dump(COMMANDS[what](*words), sys.stdout)

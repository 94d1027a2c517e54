"""Run on an isolated host.

nodes COUNT     waits until so many nodes of the cluster live and the store answers
photos COUNT    puts so many photos into the store
"""

import os
import sys
import time
from pathlib import Path

import requests

import facerecon_ray
from facerecon_ray.errors import FaceReconError
from facerecon_ray.storage.objects import open_store

BUCKET = "s3://work"
SECONDS = 200.0


def wait_for_nodes(count: int) -> None:
    deadline = time.monotonic() + SECONDS
    while live_nodes() < count:
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


if __name__ == "__main__":
    what, count = sys.argv[1:]
    {"nodes": wait_for_nodes, "photos": put_photos}[what](int(count))

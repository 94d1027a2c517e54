"""A listing of a million keys: how much memory the driver takes, and when the first photos may begin.

A small HTTP server speaks as much of S3's ListObjectsV2 as is needed and makes the keys up, so nothing is stored. The
plan is written to a folder. Waves are taken as they come and thrown away.

    python benchmarks/listing.py --keys 1000000
"""

import argparse
import os
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import toy_job  # noqa: F401

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.pipeline.photo_source import Earlier, PhotoSource
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.photos.inputs import list_photos
from facerecon_ray.storage.photos.photo_plan import PhotoPlan

PAGE = 1000


class Listing(BaseHTTPRequestHandler):
    """Answers ListObjectsV2 with made-up keys, and 404 to everything else."""

    protocol_version = "HTTP/1.1"
    keys = 0
    page_seconds = 0.0

    def do_GET(self) -> None:
        """A page."""
        time.sleep(self.page_seconds)
        query = parse_qs(urlsplit(self.path).query)
        start = int(query.get("continuation-token", ["0"])[0])
        end = min(start + PAGE, self.keys)
        entry = (
            "<Contents><Key>photos/user-{:05d}/IMG_{:09d}.jpg</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            "<ETag>&quot;0&quot;</ETag><Size>300000</Size></Contents>"
        )
        entries = "".join(entry.format(number // 1000, number) for number in range(start, end))
        more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < self.keys else ""
        page = (
            f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(end < self.keys).lower()}</IsTruncated>{more}{entries}</ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_HEAD(self) -> None:
        """There is no object of that name."""
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serve(keys: int, page_seconds: float) -> int:
    """Start the server in a process of its own, so that its memory is not counted; its port."""
    read, write = os.pipe()
    if os.fork() == 0:
        Listing.keys, Listing.page_seconds = keys, page_seconds
        server = ThreadingHTTPServer(("127.0.0.1", 0), Listing)
        os.write(write, str(server.server_port).encode())
        os.close(write)
        parent = os.getppid()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)
    return int(os.read(read, 16))


def main() -> None:
    """List, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--page-seconds", type=float, default=0.02, help="that the server takes for a page")
    arguments = parser.parse_args()
    port = serve(arguments.keys, arguments.page_seconds)
    os.environ.update(AWS_ACCESS_KEY_ID="nobody", AWS_SECRET_ACCESS_KEY="nothing")
    settings = S3Settings(endpoint_url=f"http://127.0.0.1:{port}")
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as name:
        output = OutputFolder(Path(name))
        before = process.memory_info().rss
        start, processor = time.perf_counter(), time.process_time()
        listing = list_photos("s3://bucket/photos", settings)
        listing.require_one()
        source = PhotoSource(listing, PhotoPlan(output.store, 256), Manifest(output), Earlier())
        photos = 0
        with source.listing():
            while wave := source.next_wave():
                if not photos:
                    count = sum(len(work.todo) for work in wave)
                    print(f"first photos      after {time.perf_counter() - start:.1f} s: {count}")
                done = photos
                photos += sum(len(work.todo) for work in wave)
                if done * 10 // arguments.keys != photos * 10 // arguments.keys:
                    memory = (process.memory_info().rss - before) / 2**20
                    print(f"{photos:>9} photos  +{memory:.0f} MB, planned {source.planned}", flush=True)
        assert photos == arguments.keys, f"{photos} photos came of {arguments.keys} keys"
        seconds, of_cpu = time.perf_counter() - start, time.process_time() - processor
        print(f"listed and planned in {seconds:.0f} s, {of_cpu:.0f} s of CPU")
        print(f"driver memory     {process.memory_info().rss / 2**20:.0f} MB ({before / 2**20:.0f} MB of it before)")


if __name__ == "__main__":
    main()

"""The same claims hold for a folder and for a real S3 server."""

import errno
import os
import pickle
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from s3_proxy import Fault, S3Proxy
from s3_server import S3Server

from facerecon_ray.config.settings import load_job
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.errors import MissingObjectError, ObjectTooLargeError, StorageError, StoreUnavailableError
from facerecon_ray.storage import folder_store
from facerecon_ray.storage.objects import ObjectStore, open_store
from facerecon_ray.storage.s3_client import call, s3_client
from facerecon_ray.storage.s3_store import S3Store


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return open_store(tmp_path / "new" / "folder")
    seaweed = request.getfixturevalue("seaweed")
    return open_store(f"s3://{seaweed.bucket()}/some/prefix", seaweed.settings)


@pytest.fixture
def bucket(seaweed: S3Server) -> S3Store:
    store = open_store(f"s3://{seaweed.bucket()}/prefix/", seaweed.settings)
    assert isinstance(store, S3Store)
    return store


def names(store: ObjectStore, prefix: str = "") -> list[str]:
    return [found.name for found in store.list(prefix)]


def refusing(code: int) -> Callable[..., None]:
    """A call of the system that a file system answers so."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


def test_a_file_system_that_knows_neither_links_nor_flushes_holds_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Path, "hardlink_to", refusing(errno.EPERM))
    monkeypatch.setattr(os, "fsync", refusing(errno.EINVAL))
    store = open_store(tmp_path)
    assert store.write_if_absent("plan", b"first") and not store.write_if_absent("plan", b"second")
    assert store.read("plan") == b"first" and names(store) == ["plan"] and len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
    with pytest.raises(StorageError, match=r"cannot write .*: Input/output error"):
        store.write("other", b"x")
    assert names(store) == ["plan"]


@pytest.mark.parametrize("seconds", [2.0**40, -(2.0**40)])
def test_times_that_no_calendar_has_do_not_end_a_listing(seconds: float):
    status = SimpleNamespace(st_mtime=seconds, st_mtime_ns=int(seconds * 1e9), st_size=1)
    entry = SimpleNamespace(is_file=lambda: True, stat=lambda: status)
    found = folder_store._stored("a", entry)  # type: ignore[arg-type]
    assert found and found.modified.year in (1, 9998)


@pytest.mark.parametrize(
    ("status", "code", "line"),
    [
        (403, "InvalidObjectState", "x: the object is archived .*restore it first"),
        (
            501,
            "NotImplemented",
            r"x: the store does not know .* \(no such header\); an output needs conditional",
        ),
    ],
)
def test_what_a_store_refuses_is_said_with_what_to_do(status: int, code: str, line: str):
    def attempt(_: object) -> None:
        answer = {"Error": {"Code": code, "Message": "no such header"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, "PutObject")

    with pytest.raises(StorageError, match=line):
        call("x", S3Settings(endpoint_url="http://127.0.0.1:1"), attempt)


def test_what_was_written_is_read(store: ObjectStore):
    for data in (b"", b"one", bytes(range(256)) * 5000):
        store.write("a/b/c.bin", data)
        assert store.read("a/b/c.bin") == data
    assert store.exists("a/b/c.bin") and not store.exists("a/b")


def test_files_are_written_where_others_leave_the_folder_empty(tmp_path: Path):
    store = open_store(tmp_path)

    def write_and_delete(name: str) -> None:
        for _ in range(300):
            store.write(f"a/b/{name}", b"one")
            store.delete(f"a/b/{name}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write_and_delete, "abcd"))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("viewer/0.js", "text/javascript; charset=utf-8"),
        ("a/0.PNG", "image/png"),
        ("a/0.webp", "image/webp"),
        ("a/0.glb", "model/gltf-binary"),
        ("manifest/part-0.parquet", "application/vnd.apache.parquet"),
        ("run.json", "application/json"),
        ("w.safetensors", "application/octet-stream"),
    ],
)
def test_an_object_says_what_it_is_so_that_a_browser_shows_it(bucket: S3Store, name: str, kind: str):
    for write in (bucket.write, bucket.write_if_absent):
        write(name, b"x")
        with urllib.request.urlopen(presigned(bucket, name)) as answer:
            assert answer.headers["Content-Type"] == kind
        bucket.delete(name)


def presigned(bucket: S3Store, name: str) -> str:
    """Address under which a browser gets an object."""
    return s3_client(bucket.settings).generate_presigned_url(
        "get_object", {"Bucket": bucket.bucket, "Key": f"prefix/{name}"}
    )


def test_a_listing_tells_names_sizes_and_times_and_heeds_its_prefix(store: ObjectStore):
    assert names(store) == []
    for name in ("b.jpg", "a/1.jpg", "a/2.jpg", "ab/3.jpg", "a.jpg"):
        store.write(name, name.encode())
    assert sorted(names(store)) == ["a.jpg", "a/1.jpg", "a/2.jpg", "ab/3.jpg", "b.jpg"]
    assert names(store, "a/") == ["a/1.jpg", "a/2.jpg"] and names(store, "a/2") == ["a/2.jpg"]
    assert sorted(names(store, "a")) == ["a.jpg", "a/1.jpg", "a/2.jpg", "ab/3.jpg"]
    assert names(store, "missing/") == names(store, "missing") == []
    found = next(store.list("ab/"))
    assert found.size == 8 and abs((datetime.now(UTC) - found.modified).total_seconds()) < 60
    store.write("ab/3.jpg", b"other")
    assert next(store.list("ab/")).etag != found.etag


def test_what_is_not_there_is_missing_and_what_is_too_large_is_not_read(store: ObjectStore):
    with pytest.raises(MissingObjectError, match=r"a\.jpg does not exist"):
        store.read("a.jpg")
    store.write("a.jpg", b"12345")
    with pytest.raises(ObjectTooLargeError) as caught:
        store.read("a.jpg", max_bytes=4)
    assert caught.value.size == 5 and store.read("a.jpg", max_bytes=5) == b"12345"
    store.delete("a.jpg")
    store.delete("a.jpg")
    assert not store.exists("a.jpg")


def test_of_many_writers_one_writes_what_is_absent(store: ObjectStore):
    start = threading.Barrier(8)

    def write(number: int) -> bool:
        start.wait()
        return store.write_if_absent("lock", f"{number}".encode())

    with ThreadPoolExecutor(8) as threads:
        written = list(threads.map(write, range(8)))
    assert written.count(True) == 1 and store.read("lock") == f"{written.index(True)}".encode()
    assert names(store) == ["lock"]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "nul\0"])
def test_names_that_lead_elsewhere_are_refused(store: ObjectStore, name: str):
    with pytest.raises(StorageError, match="outside"):
        store.write(name, b"x")


def test_a_store_may_be_pickled(store: ObjectStore):
    store.write("a", b"1")
    assert pickle.loads(pickle.dumps(store)).read("a") == b"1"


def test_unusual_names_survive(store: ObjectStore):
    wanted = ["Zoë & 顔 (1).jpg", "per%20cent.jpg", "q?x=1#y.jpg", "plus+ space.jpg"]
    for name in wanted:
        store.write(f"n/{name}", name.encode())
    assert sorted(names(store, "n/")) == sorted(f"n/{name}" for name in wanted)
    assert [store.read(f"n/{name}").decode() for name in wanted] == wanted


def test_a_listing_of_several_pages_is_complete(bucket: S3Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("facerecon_ray.storage.s3_store.PAGE_KEYS", 3)
    for number in range(10):
        bucket.write(f"{number}.jpg", b"")
    assert names(bucket) == [f"{number}.jpg" for number in range(10)]


def test_an_object_is_replaced_only_while_it_is_as_it_was(bucket: S3Store):
    bucket.write("lock", b"first")
    age, etag = bucket.age("lock") or (0.0, "")
    assert -2 < age < 60
    second = bucket.replace("lock", b"second", etag)
    assert second == (bucket.age("lock") or (0, ""))[1] and bucket.replace("lock", b"third", etag) is None
    assert bucket.replace("lock", b"fourth", None) is None and bucket.replace("new", b"", "no such etag") is None
    assert bucket.read("lock") == b"second" and bucket.age("none") is None


def test_a_bucket_that_is_not_there_is_named(seaweed: S3Server):
    store = S3Store("no-such-bucket", "", seaweed.settings)
    for use in (store.check_bucket, lambda: list(store.list())):
        with pytest.raises(StorageError, match="no such bucket"):
            use()


def test_wrong_credentials_are_said_to_be_wrong_and_not_shown(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch):
    name = seaweed.bucket()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    with pytest.raises(StorageError, match="access denied") as caught:
        S3Store(name, "", S3Settings(endpoint_url=seaweed.endpoint, time_limit=9)).write("a", b"")
    assert "hush" not in str(caught.value) and "facerecon-tests" not in str(caught.value)


def test_missing_credentials_are_named(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match="no AWS credentials found"):
        S3Store("b-1", "", S3Settings(endpoint_url=seaweed.endpoint, time_limit=8)).exists("a")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("AWS_PROFILE", "nobody", "nobody"),
        ("AWS_DEFAULT_REGION", "no such region!", "region"),
        ("AWS_CONFIG_FILE", __file__, "parse config file"),
    ],
)
def test_wrong_settings_of_the_aws_tools_are_named(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match=f"bucket/a: AWS's own settings, .* are wrong: .*{reason}"):
        S3Store("bucket", "", S3Settings(endpoint_url="http://127.0.0.1:1", time_limit=0.6)).read("a")


def test_a_store_that_does_not_answer_is_unavailable_within_the_time_limit(seaweed: S3Server):
    nobody = S3Settings(endpoint_url="http://127.0.0.1:1", time_limit=0.5)
    with pytest.raises(StoreUnavailableError, match=r"0\.5 seconds"):
        S3Store("bucket", "", nobody).read("a")


@pytest.mark.parametrize("uri", ["gs://bucket/x", "s3://", "s3:///x", "s3://b"])
def test_a_uri_that_names_no_store_is_refused(uri: str):
    with pytest.raises(StorageError):
        open_store(uri)


@pytest.mark.parametrize("url", ["http://key:secret@host", "host:9000", "ftp://host"])
def test_an_endpoint_is_an_address_without_credentials(url: str):
    with pytest.raises(ValueError, match="endpoint_url"):
        S3Settings(endpoint_url=url)


def test_the_endpoint_of_the_environment_counts_where_none_is_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://all:1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    job = load_job(SynthesisJob, None, {"output": "s3://bucket/pairs"})
    assert S3Settings().endpoint_url == job.s3.endpoint_url == "http://all:1"
    assert S3Settings().region == job.s3.region == "eu-west-3"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3:1")
    assert S3Settings().endpoint_url == "http://s3:1"
    assert S3Settings(endpoint_url="http://own:1", region="mars").endpoint_url == "http://own:1"
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    handed_on = pickle.loads(pickle.dumps(job))
    assert handed_on.s3 == job.s3, "a worker's environment does not count"


@pytest.fixture
def proxy(seaweed: S3Server) -> Iterator[S3Proxy]:
    proxy = S3Proxy(seaweed.port)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("fault", ["500", "503", "silent", "reset", "cut"])
def test_a_fault_that_passes_within_the_time_limit_is_not_noticed(seaweed: S3Server, proxy: S3Proxy, fault: Fault):
    settings = S3Settings(endpoint_url=proxy.endpoint, time_limit=20, read_timeout=0.5)
    store = open_store(f"s3://{seaweed.bucket()}", settings)
    data = bytes(range(256)) * 1000
    store.write("a", data)
    for use, expected in (
        (lambda: store.read("a"), data),
        (lambda: names(store), ["a"]),
        (lambda: store.write("b", data), None),
        (lambda: store.exists("b"), True),
        (lambda: store.write_if_absent("c", b"1"), True),
    ):
        before = proxy.met
        with proxy.failing(fault, seconds=0.3):
            assert use() == expected
        assert proxy.met > before, "the fault was not met"
    assert store.read("b") == data and names(store) == ["a", "b", "c"]


@pytest.mark.parametrize("fault", ["503", "silent"])
def test_a_fault_that_lasts_is_unavailability(seaweed: S3Server, proxy: S3Proxy, fault: Fault):
    settings = S3Settings(endpoint_url=proxy.endpoint, time_limit=1.5, read_timeout=0.5)
    wanted = f"/a: the store at {proxy.endpoint} did not answer properly for 1.5 seconds"
    with proxy.failing(fault, seconds=60), pytest.raises(StoreUnavailableError, match=wanted):
        open_store(f"s3://{seaweed.bucket()}", settings).read("a")


def test_what_a_full_store_says_is_said_and_what_is_waited_for_meanwhile(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    class Full(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            text = b"<Error><Code>InternalError</Code><Message>no free\n volumes left</Message></Error>"
            self.send_response(500)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    monkeypatch.setattr("facerecon_ray.storage.s3_client.PATIENCE", 0.1)
    monkeypatch.setattr("facerecon_ray.storage.s3_client._said", float("-inf"))
    server = HTTPServer(("127.0.0.1", 0), Full)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    store = open_store("s3://bucket", S3Settings(endpoint_url=endpoint, time_limit=1.5))
    with pytest.raises(StoreUnavailableError, match=r"\(500 InternalError no free volumes left\)"):
        store.write("a", b"data")
    server.shutdown()
    (line,) = caplog.messages
    assert line == f"waiting for the store at {endpoint} (500 InternalError no free volumes left), up to 1.5 seconds"

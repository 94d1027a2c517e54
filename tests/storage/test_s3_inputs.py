import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3_server import S3Server

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError, StorageError
from facerecon_ray.storage.layout import photo_key
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.photos.inputs import list_photos
from facerecon_ray.storage.photos.pair_inputs import list_pairs

NAMES = ("b.JPG", "a.png", "notes.txt", "sub/deep/c.webp", ".hidden.jpg", ".trash/d.jpg", "sub/list.csv", "a[1].jpg")


@pytest.fixture(scope="module")
def root(seaweed: S3Server) -> str:
    uri = f"s3://{seaweed.bucket()}/photos"
    store = open_store(uri, seaweed.settings)
    for name in NAMES:
        store.write(name, b"x")
    store.write("sub/list.csv", b"id,photo_uri\n1,deep/c.webp\n2,s3://elsewhere/x.jpg\n3,/local/y.jpg\n")
    table = io.BytesIO()
    pq.write_table(pa.table({"photo_uri": [f"{uri}/b.JPG", "missing.jpg"]}), table)
    store.write("list.parquet", table.getvalue())
    for name in ("results/run.json", "results/previews/a.jpg/0.png", "previews/mine.jpg"):
        store.write(name, b"{}")
    return uri


@pytest.fixture
def settings(seaweed: S3Server) -> S3Settings:
    return seaweed.settings


def test_a_prefix_is_searched_like_a_folder(root: str, settings: S3Settings):
    found = list_photos(f"{root}/", settings)
    expected = ("a.png", "a[1].jpg", "b.JPG", "previews/mine.jpg", "sub/deep/c.webp")
    assert list(found) == [f"{root}/{name}" for name in expected]
    assert found.root == root and found.ignored == 5
    assert [photo_key(photo, root) for photo in (f"{root}/b.JPG", f"{root}/sub/deep/c.webp")] == [
        "b.JPG",
        "sub/deep/c.webp",
    ]


def test_the_jobs_own_output_holds_no_photos(root: str, settings: S3Settings):
    assert f"{root}/previews/mine.jpg" not in list(list_photos(root, settings, output=f"{root}/previews"))


def test_an_output_that_is_the_input_or_holds_it_changes_nothing_about_its_photos(seaweed: S3Server):
    uri = f"s3://{seaweed.bucket()}"
    store = open_store(uri, seaweed.settings)
    for name in ("in/a.jpg", "in/run.json", "in/previews/a.jpg/0.png", "previews/in/a.jpg/0.png", "run.json"):
        store.write(name, b"{}")
    for output in (f"{uri}/in", uri, f"{uri}/elsewhere"):
        assert list(list_photos(f"{uri}/in", seaweed.settings, output)) == [f"{uri}/in/a.jpg"]
    with pytest.raises(InputError, match="among the results of the output"):
        list_photos(f"{uri}/previews", seaweed.settings, uri)


def test_a_prefix_that_looks_like_a_pattern_is_that_prefix(seaweed: S3Server):
    uri = f"s3://{seaweed.bucket()}"
    open_store(uri, seaweed.settings).write("photos [2020]/a.jpg", b"x")
    assert list(list_photos(f"{uri}/photos [2020]/", seaweed.settings)) == [f"{uri}/photos [2020]/a.jpg"]
    assert list(list_photos(f"{uri}/photos*/[a]*", seaweed.settings)) == [f"{uri}/photos [2020]/a.jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["a.png"]),
        ("**/*.[wp]*", ["a.png", "sub/deep/c.webp"]),
        ("su?", ["sub/deep/c.webp"]),
        ("a[1].jpg", ["a[1].jpg"]),
        ("sub/deep/c.webp", ["sub/deep/c.webp"]),
        ("nothing*", []),
    ],
)
def test_patterns_and_single_objects(root: str, settings: S3Settings, pattern: str, expected: list[str]):
    assert list(list_photos(f"{root}/{pattern}", settings)) == [f"{root}/{name}" for name in expected]


def test_lists_in_a_bucket_name_photos_beside_them_and_elsewhere(root: str, settings: S3Settings):
    assert list(list_photos(f"{root}/sub/list.csv", settings)) == [
        f"{root}/sub/deep/c.webp",
        "s3://elsewhere/x.jpg",
        "/local/y.jpg",
    ]
    found = list_photos(f"{root}/list.parquet", settings)
    assert list(found) == [f"{root}/b.JPG", f"{root}/missing.jpg"] and found.root == root


def test_pairs_in_a_bucket_name_photos_beside_them_and_elsewhere(root: str, settings: S3Settings):
    open_store(root, settings).write("sub/pairs.csv", b"front,side\na.jpg,s3://elsewhere/x.jpg\nb.jpg,/local/y.jpg\n")
    found = list_pairs(f"{root}/sub/pairs.csv", settings)
    assert found.root == f"{root}/sub"
    assert [photo[:2] for photo in found.planned()] == [
        (f"{root}/sub/a.jpg", "s3://elsewhere/x.jpg"),
        (f"{root}/sub/b.jpg", "/local/y.jpg"),
    ]
    with pytest.raises(InputError, match="no such object"):
        list_pairs(f"{root}/missing.csv", settings)


def test_inputs_that_are_not_there_are_named(root: str, settings: S3Settings):
    with pytest.raises(InputError, match="no photo found"):
        list_photos(f"{root}/missing", settings).require_one()
    with pytest.raises(StorageError, match="no such bucket"):
        list_photos("s3://no-such-bucket/x", settings).require_one()


def test_keys_that_differ_only_in_empty_parts_keep_their_results_apart():
    keys = {photo_key(f"s3://b/p/{name}", "s3://b/p") for name in ("x/a.jpg", "x//a.jpg", "/x/a.jpg", "../a.jpg")}
    assert len(keys) == 4 and all(".." not in key and "//" not in key for key in keys)

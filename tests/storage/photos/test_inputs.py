import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facerecon_ray.errors import InputError
from facerecon_ray.storage.photos.inputs import list_photos
from facerecon_ray.storage.uris import path_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "notes.txt", "sub/deep/c.webp", ".hidden.jpg", ".trash/d.jpg", "sub/list.csv"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "photos"


def photos(source: object) -> list[str]:
    return list(list_photos(str(source)))


def names(source: object) -> list[str]:
    return [Path(photo).name for photo in photos(source)]


def test_folder_is_searched_recursively_in_a_fixed_order_and_other_files_are_counted(folder: Path):
    found = list_photos(str(folder))
    assert list(found) == [str(folder / name) for name in ("a.png", "b.JPG", "sub/deep/c.webp")]
    assert found.ignored == 3
    assert found.root == str(folder)


def test_results_of_an_earlier_job_inside_the_folder_are_passed_over(folder: Path):
    (folder / "out" / "manifest").mkdir(parents=True)
    (folder / "out" / "previews").mkdir()
    (folder / "out" / "previews" / "0.png").write_bytes(b"x")
    (folder / "out" / "run.json").write_text("{}")
    assert names(folder) == ["a.png", "b.JPG", "c.webp"]


def test_a_file_named_directly_is_taken_whatever_its_suffix(folder: Path):
    (folder / "scan.dat").write_bytes(b"x")
    found = list_photos(str(folder / "scan.dat"))
    assert list(found) == [str(folder / "scan.dat")] and found.root == str(folder)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["a.png"]),
        ("**/*", ["a.png", "b.JPG", "c.webp"]),
        ("su?", ["c.webp"]),
        ("[ab].*", ["a.png", "b.JPG"]),
    ],
)
def test_glob_takes_photos_and_folders_that_match(folder: Path, pattern: str, expected: list[str]):
    assert names(folder / pattern) == expected


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder: Path):
    (folder / "a[1].jpg").write_bytes(b"x")
    assert names(folder / "a[1].jpg") == ["a[1].jpg"]


def test_relative_input_is_the_same_photo_as_the_absolute_one(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder / "sub")
    assert photos("../a.png") == photos(folder / "a.png")
    assert photos("..") == photos(folder)


def test_text_list_keeps_its_order_and_starts_at_its_own_folder(folder: Path):
    (folder / "list.txt").write_bytes(
        "\ufeffb.JPG\r\n# a comment\r\n\r\nsub/../a.png\nb.JPG\n/elsewhere/missing.jpg".encode()
    )
    found = list_photos(str(folder / "list.txt"))
    assert list(found) == [
        str(folder / "b.JPG"),
        str(folder / "a.png"),
        str(folder / "b.JPG"),
        "/elsewhere/missing.jpg",
    ]
    assert found.root == "/"


@pytest.mark.parametrize("text", ['id,photo_uri\n7,a.png\n8,"sub/deep/c.webp"\n', "file\na.png\nsub/deep/c.webp\n"])
def test_csv_list_uses_its_photo_column_or_the_first(folder: Path, text: str):
    (folder / "list.csv").write_text(text)
    assert names(folder / "list.csv") == ["a.png", "c.webp"]


@pytest.mark.parametrize("column", ["photo_uri", "path"])
def test_parquet_list_uses_its_photo_column_or_the_first(folder: Path, column: str):
    table = pa.table({column: ["a.png", None, "b.JPG"], "id": [1, 2, 3]})
    if column == "photo_uri":
        table = table.select(["id", column])
    pq.write_table(table, folder / "list.parquet")
    assert names(folder / "list.parquet") == ["a.png", "b.JPG"]


def test_names_that_are_no_text_survive(folder: Path):
    path = Path(os.fsdecode(os.fsencode(folder) + b"/sub/caf\xe9.jpg"))
    path.write_bytes(b"x")
    (photo,) = photos(folder / "sub" / "caf*.jpg")
    assert photo.startswith("file:///") and photo.isascii()
    assert path_of(photo) == path
    (folder / "list.txt").write_bytes(b"sub/caf\xe9.jpg\n" + photo.encode())
    assert set(photos(folder / "list.txt")) == {photo}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing", None, "no such file or folder"),
        ("nothing-*.jpg", None, "no photo found"),
        ("empty.txt", b"# nothing\n\n", "no photo found"),
        ("remote.txt", b"gs://bucket/a.jpg\n", "gs:// is not supported"),
        ("bare.csv", b"a.jpg\nb.jpg\n", "no header line"),
        ("empty.csv", b"", "no header line"),
        ("broken.parquet", b"PAR1", "cannot be read"),
    ],
)
def test_an_input_without_photos_is_one_clear_error(tmp_path: Path, name: str, content: bytes | None, message: str):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        list_photos(str(tmp_path / name)).require_one()


def test_a_parquet_list_of_numbers_is_refused(tmp_path: Path):
    pq.write_table(pa.table({"id": [1, 2]}), tmp_path / "list.parquet")
    with pytest.raises(InputError, match="no text column photo_uri"):
        list_photos(str(tmp_path / "list.parquet"))


def test_a_folder_without_photos_says_how_many_files_it_passed_over(tmp_path: Path):
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(InputError, match=r"other files passed over: 1"):
        list_photos(str(tmp_path)).require_one()


@pytest.mark.parametrize("source", ["gs://bucket/photos", "https://host/a.jpg", "  "])
def test_inputs_of_other_kinds_are_refused(source: str):
    with pytest.raises(InputError):
        list_photos(source)

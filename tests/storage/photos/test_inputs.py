import os
from pathlib import Path

import pytest

from facerecon_ray.errors import InputError
from facerecon_ray.storage import folder_walk
from facerecon_ray.storage.photos.inputs import list_photos
from facerecon_ray.storage.photos.pair_inputs import list_pairs
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


def test_what_systems_keep_for_themselves_is_passed_over(tmp_path: Path):
    kept = ("a.jpg", "Old.photoslibrary/originals/1/b.jpg", "older.photoslibrary/Masters/c.jpg", "lost/d.jpg")
    others = (
        *("@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", "sub/@eaDir/x.jpg", "#recycle/x.jpg", "$RECYCLE.BIN/S-1/x.jpg"),
        *("lost+found/x.jpg", "System Volume Information/x.jpg", "Old.photoslibrary/resources/derivatives/1/b.jpg"),
    )
    for name in (*kept, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert sorted(photos(tmp_path)) == sorted(str(tmp_path / name) for name in kept)
    assert names(tmp_path / "#recycle") == ["x.jpg"]


def test_folders_of_file_systems_that_number_nothing_are_all_searched(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder_walk.Path, "stat", lambda *_, **__: os.stat_result((0o40755, 0, 7, *[0] * 7)))
    found = [name for name, entry in folder_walk.walk_files(folder, lambda *_: True) if entry]
    assert "sub/deep/c.webp" in found and len(found) == 7


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
        "\ufeffb.JPG\r\n\r\nsub/../a.png\nb.JPG\n#1.jpg\n/elsewhere/missing.jpg".encode()
    )
    found = list_photos(str(folder / "list.txt"))
    assert list(found) == [
        str(folder / "b.JPG"),
        str(folder / "a.png"),
        str(folder / "b.JPG"),
        str(folder / "#1.jpg"),
        "/elsewhere/missing.jpg",
    ]
    assert found.root == "/"


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
        ("empty.txt", b"\n\n", "no photo found"),
        ("remote.txt", b"gs://bucket/a.jpg\n", "gs:// is not supported"),
        ("a" * 300, None, "File name too long"),
    ],
)
def test_an_input_without_photos_is_one_clear_error(tmp_path: Path, name: str, content: bytes | None, message: str):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        list_photos(str(tmp_path / name)).require_one()


@pytest.mark.parametrize("place", ["photos", "photos/out", "."])
def test_an_output_that_is_in_the_input_or_around_it_changes_nothing_about_its_photos(folder: Path, place: str):
    output = folder.parent / place
    for name in ("previews/a.png/0.png", "meshes/a.png/0.glb", "manifest/part-0.parquet", "run.json", "index.html"):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_bytes(b"{}")
    found = list_photos(str(folder), output=str(output))
    assert list(found) == [str(folder / name) for name in ("a.png", "b.JPG", "sub/deep/c.webp")]
    with pytest.raises(InputError, match="among the results of the output"):
        list_photos(str(output / "previews"), output=str(output))


def test_an_output_is_known_by_whatever_link_leads_to_it(folder: Path):
    (folder.parent / "link").symlink_to(folder)
    (folder / "previews").mkdir()
    (folder / "previews" / "0.png").write_bytes(b"x")
    assert list(list_photos(str(folder), output=str(folder.parent / "link"))) == photos(folder / "*")[:2] + photos(
        folder / "sub"
    )


@pytest.mark.parametrize(
    ("record", "picture"), [("dataset.json", "preview.png"), ("figures.json", "samples/step-0000001.png")]
)
def test_pictures_of_a_data_set_or_a_training_are_no_photos(folder: Path, record: str, picture: str):
    before = photos(folder)
    (folder / "sub" / picture).parent.mkdir(exist_ok=True)
    (folder / "sub" / picture).write_bytes(b"x")
    assert len(photos(folder)) == len(before) + 1
    (folder / "sub" / record).write_text("{}")
    assert photos(folder) == before


def test_linked_folders_are_searched_once_and_circles_are_counted(folder: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.jpg").write_bytes(b"x")
    for link, target in (("circle", "."), ("up", ".."), ("again", "sub"), ("far", "../elsewhere"), ("far2", "far")):
        (folder / link).symlink_to(target)
    (folder / "itself.jpg").symlink_to("itself.jpg")
    (folder / "through.jpg").symlink_to("a.png/x.jpg")
    found = list_photos(str(folder))
    assert [Path(photo).relative_to(folder) for photo in found] == [
        Path(name) for name in ("a.png", "b.JPG", "itself.jpg", "sub/deep/c.webp", "through.jpg", "far/far.jpg")
    ]
    assert found.ignored == 3 + 4


def test_a_pattern_that_names_a_link_finds_what_is_behind_it(folder: Path):
    (folder / "latest").symlink_to("sub")
    assert names(folder / "l*" / "deep" / "*") == ["c.webp"]


@pytest.mark.parametrize("name", ["~b.jpg", "~nosuch/b.jpg", "~/b.jpg"])
def test_a_tilde_is_a_home_only_where_there_is_one(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(folder)
    path = (tmp_path / "home" if name.startswith("~/") else folder) / name.removeprefix("~/")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    (folder / "names.txt").write_text(name)
    assert photos(name) == photos(folder / "names.txt") == [str(path)]


def test_a_circle_of_links_on_the_way_to_an_input_is_one_clear_error(tmp_path: Path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for source in ("a/x.jpg", "a"):
        with pytest.raises(InputError, match=r"circle|no such file"):
            list_photos(str(tmp_path / source))


def test_a_folder_without_photos_says_how_many_files_it_passed_over(tmp_path: Path):
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(InputError, match=r"other files passed over: 1"):
        list_photos(str(tmp_path)).require_one()


@pytest.mark.parametrize("source", ["gs://bucket/photos", "https://host/a.jpg", "  "])
def test_inputs_of_other_kinds_are_refused(source: str):
    with pytest.raises(InputError):
        list_photos(source)


def test_photos_of_phones_are_found_in_folders(tmp_path: Path) -> None:
    for name in ("IMG_1.HEIC", "b.heif", "c.hif", "d.avif", "e.jxl", "f.MPO", "g.aae"):
        (tmp_path / name).touch()
    found = list_photos(str(tmp_path))
    assert [Path(photo).name for photo in found] == ["IMG_1.HEIC", "b.heif", "c.hif", "d.avif", "e.jxl", "f.MPO"]
    assert found.ignored == 1


def pair_list(folder: Path, *rows: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join(["front,side", *rows]))
    return path


def test_pairs_start_at_their_lists_folder_and_have_the_root_of_their_fronts(folder: Path):
    found = list_pairs(str(pair_list(folder, "sub/a.jpg,../x.jpg", "sub/b.jpg,s3://bucket/y.jpg")))
    assert found.root == str(folder / "sub")
    assert [photo[:2] for photo in found.planned()] == [
        (str(folder / "sub" / "a.jpg"), str(folder.parent / "x.jpg")),
        (str(folder / "sub" / "b.jpg"), "s3://bucket/y.jpg"),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "there is no pair in it, only a header"),
        (["a.jpg,b.jpg", "c.jpg,sub/../c.jpg"], r"c\.jpg is front and side of one pair; a pair is two photos"),
        (["a.jpg,b.jpg", "c.jpg,d.jpg", "a.jpg,e.jpg"], r"a\.jpg: it is the front of two pairs"),
        (["a.jpg,gs://bucket/b.jpg"], "gs:// is not supported"),
    ],
)
def test_pairs_that_cannot_be_meant_are_one_clear_error(folder: Path, rows: list[str], message: str):
    with pytest.raises(InputError, match=message) as raised:
        list_pairs(str(pair_list(folder, *rows)))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["missing.csv", "", "sub", "n" * 300])
def test_a_list_of_pairs_that_is_no_file_is_one_clear_error(folder: Path, name: str):
    with pytest.raises(InputError):
        list_pairs(str(folder / name))

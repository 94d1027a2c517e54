from pathlib import Path

import pytest

from facerecon_ray.errors import InputError
from facerecon_ray.storage.photos.person_list import person_of_photos


def test_photos_of_a_list_start_at_its_folder_and_each_is_one_persons(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(
        "Person;Photo\nAnn B.;a/1.jpg\nBob-2;s3://bucket/b.jpg\n\nAnn B.;/elsewhere/2.jpg\nAnn B.;a/1.jpg\n"
    )
    folder = tmp_path.resolve()
    assert person_of_photos(path) == {
        f"{folder}/a/1.jpg": "Ann B.",
        "s3://bucket/b.jpg": "Bob-2",
        "/elsewhere/2.jpg": "Ann B.",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photo,person\na.jpg,Ann\na.jpg,Bob\n", "a.jpg shows Ann in one row and Bob in another"),
        ("photo,person\na.jpg,../Ann\n", "the person '../Ann' names files"),
        ("photo,person\na.jpg,\n", "row 2 names no person"),
        ("photo,name\na.jpg,Ann\n", "no column is named person .*a list of people has two, photo and person"),
        ("photo,person\nhttp://a/b.jpg,Ann\n", "http:// is not supported"),
    ],
)
def test_a_list_of_people_with_a_mistake_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        person_of_photos(path)


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nobody\.csv: cannot be read"):
        person_of_photos(tmp_path / "nobody.csv")

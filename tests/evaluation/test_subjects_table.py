from pathlib import Path

import pytest

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.subjects_table import read_attributes

KNOWN = {"subject_01": {"gender": 1.0, "age": 34.5}, "subject_02": {}}


@pytest.mark.parametrize(
    "content",
    [
        b"subject,gender,age\nsubject_01,1,34.5\nsubject_02,,\n",
        b"\xef\xbb\xbfsubject,gender,age\r\nsubject_01,1,34.5\r\nsubject_02,,\r\n",
        b"Subject;Gender;Age\nsubject_01;1;34,5\nsubject_02;;\n\n",
        b"subject\tgender\tage\nsubject_01\t1\t34.5\nsubject_02\n",
        b" subject , gender , age \n subject_01 , 1 , 34.5 \n subject_02 , , \n",
    ],
    ids=["plain", "byte order mark", "semicolons", "tabs", "blanks"],
)
def test_attributes_are_read_as_spreadsheets_write_them(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "subjects.csv").write_bytes(content)
    assert read_attributes(tmp_path) == KNOWN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,age\nx,3\n", "no column 'subject'"),
        (b"", "no column 'subject'"),
        (b"subject,age\na,3\nb,old\n", "line 3: age is 'old', not a number"),
        ("subject,age\nMüller,3\n".encode("latin-1"), "no UTF-8 text"),
        ("subject,age\na,3\n".encode("utf-16"), "no UTF-8 text"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "subjects.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_attributes(tmp_path)


def test_without_a_table_nothing_is_known(tmp_path: Path) -> None:
    assert read_attributes(tmp_path) == {}

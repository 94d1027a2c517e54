import codecs
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facerecon_ray.errors import InputError
from facerecon_ray.storage.photos.photo_lists import read_list, read_names, read_pair_list


def entries(name: str, data: bytes) -> list[str]:
    return list(read_list(f"/lists/{name}", lambda: io.BytesIO(data)))


def parquet(**columns: pa.Array) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def test_every_line_of_a_text_that_is_not_empty_is_a_photo():
    assert entries("l.txt", b"#1.jpg\n\n  b.jpg \r\n# c\r") == ["#1.jpg", "b.jpg", "# c"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["l.txt", "l.csv"])
def test_a_text_is_read_in_the_encoding_that_it_says_itself(encoding: str, name: str):
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    text = "é.jpg\n日.jpg\n" if name == "l.txt" else "photo_uri,id\né.jpg,1\n日.jpg,2\n"
    assert entries(name, mark + text.encode(encoding)) == ["é.jpg", "日.jpg"]


@pytest.mark.parametrize(
    "text",
    [
        "photo_uri\na.png\nb/c.webp\n",
        "path\na.png\nb/c.webp\n",
        'id,photo_uri\n7,a.png\n8,"b/c.webp"\n',
        "id;photo_uri\n7;a.png\n8;b/c.webp\n",
        "id\tphoto_uri\n7\ta.png\n8\tb/c.webp\n",
        "Photo_URI,note\na.png,\n\nb/c.webp,x,\n",
        "id, photo_uri \n7, a.png\n8, b/c.webp\n",
        '\ufeff"photo_uri";id\na.png;1\nb/c.webp;2\n',
    ],
)
def test_csv_finds_its_photo_column_whatever_separates_it_and_however_it_is_written(text: str):
    assert entries("l.csv", text.encode()) == ["a.png", "b/c.webp"]


TEXT = pa.array(["a.png", None, "b.jpg"])


@pytest.mark.parametrize(
    "column",
    [
        TEXT,
        TEXT.cast(pa.large_string()),
        TEXT.cast(pa.string_view()),
        TEXT.dictionary_encode(),
        TEXT.cast(pa.binary()),
        TEXT.cast(pa.large_binary()),
        TEXT.cast(pa.binary_view()),
    ],
    ids=lambda column: str(column.type),
)
def test_parquet_takes_text_of_every_type(column: pa.Array):
    assert entries("l.parquet", parquet(id=pa.array([1, 2, 3]), Photo_URI=column)) == ["a.png", "b.jpg"]
    assert entries("l.parquet", parquet(anything=column)) == ["a.png", "b.jpg"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("l.csv", b"", "no header line"),
        ("l.csv", b"a.jpg\nb.jpg\n", "no header line"),
        ("l.csv", b"photos/a,1\n", "no header line"),
        ("l.csv", b"id,path\n1,a.jpg\n", r"no column is named photo_uri \(there are id, path\)"),
        ("l.csv", b"photo_uri,Photo_URI\na.jpg,b.jpg\n", "2 columns are named photo_uri"),
        ("l.csv", b"photo_uri\na,b.jpg\n", "row 2 has 2 cells, its header 1; put names that contain ',' in quotes"),
        ("l.csv", b"id,photo_uri\n1,a.jpg\n2\n", "row 3 has 1 cells, its header 2"),
        ("l.txt", "a.jpg\nb.jpg\n".encode("utf-16-le"), "no text in UTF-8"),
        ("l.csv", "photo_uri\nb.jpg\n".encode("utf-16-le"), "no text in UTF-8"),
        ("l.txt", codecs.BOM_UTF16_LE + b"a", "cannot be read"),
        ("l.parquet", b"PAR1", "cannot be read"),
        ("l.parquet", b"", "cannot be read"),
        ("l.parquet", parquet(id=pa.array([1, 2])), "its column id holds int64, no text"),
        ("l.parquet", parquet(id=pa.array([1]), path=pa.array(["a.jpg"])), "no column is named photo_uri"),
    ],
)
def test_a_list_that_may_be_meant_otherwise_is_one_clear_error(name: str, data: bytes, message: str):
    with pytest.raises(InputError, match=message) as raised:
        entries(name, data)
    assert "\n" not in str(raised.value)


def pairs(data: bytes, name: str = "p.csv") -> list[tuple[str, str]]:
    return list(read_pair_list(f"/lists/{name}", lambda: io.BytesIO(data)))


@pytest.mark.parametrize(
    "text",
    [
        "front,side\na.png,b.png\nc.png,d.png\n",
        "Side ; FRONT\nb.png;a.png\n;\n d.png;c.png\n",
        '\ufeff"front"\t"side"\n"a.png"\tb.png\n\nc.png\td.png',
    ],
)
def test_a_list_of_pairs_has_a_front_and_a_side_in_either_order(text: str):
    assert pairs(text.encode()) == [("a.png", "b.png"), ("c.png", "d.png")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no header line; name the two columns front and side"),
        (b"a.jpg,b.jpg\n", "no header line; name the two columns front and side"),
        (b"front,left\na.jpg,b.jpg\n", r"no column is named side \(there are front, left\)"),
        (b"front\na.jpg\n", r"no column is named side \(there are front\)"),
        (b"front,side,name\na.jpg,b.jpg,Ann\n", r"too many columns \(there are front, side, name\)"),
        (b"front,side,side\na.jpg,b.jpg,c.jpg\n", r"too many columns"),
        (b"front,side\na.jpg,b.jpg\nc.jpg\n", "row 3 has 1 cells, its header 2"),
        (b"front,side\na.jpg,b,c.jpg\n", "row 2 has 3 cells, its header 2"),
        (b"front,side\na.jpg,b.jpg\nc.jpg, \n", "row 3 names no side photo"),
        (b"front,side\n,b.jpg\n", "row 2 names no front photo"),
        ("front,side\na.jpg,b.jpg\n".encode("utf-16-le"), "no text in UTF-8"),
    ],
)
def test_a_list_of_pairs_with_a_mistake_is_one_clear_error(data: bytes, message: str):
    with pytest.raises(InputError, match=message) as raised:
        pairs(data)
    assert "\n" not in str(raised.value)


def test_a_list_of_pairs_is_a_csv_and_no_list_of_photos():
    with pytest.raises(InputError, match=r"is a \.csv file with the columns front and side"):
        pairs(b"front,side\n", "p.txt")
    with pytest.raises(InputError, match="it is a list of pairs; name it with --pairs"):
        entries("l.csv", b"front;side\na.jpg;b.jpg\n")


def test_all_names_of_a_list_are_read_whatever_it_is_of():
    for data, names in ((b"front,side\na,b\n", ["a", "b"]), (b"photo_uri,id\na,1\n", ["a"])):
        assert list(read_names("/lists/l.csv", lambda data=data: io.BytesIO(data))) == names

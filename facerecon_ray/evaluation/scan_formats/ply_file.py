"""The elements of a PLY file: text or binary, either byte order, numbers and lists of any type."""

import re
from dataclasses import dataclass

import numpy as np

from facerecon_ray.errors import InputError

TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "float": "f4",
    "double": "f8",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "float32": "f4",
    "float64": "f8",
    "int64": "i8",
    "uint64": "u8",
}
ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True, eq=False)
class Lists:
    """Lists of numbers, one a row.

    counts  (N,) int64 how many are in each
    values  all of them, row by row
    """

    counts: np.ndarray
    values: np.ndarray

    def of_length(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(M,) rows whose lists are so long, and those lists (M, count)."""
        rows = np.flatnonzero(self.counts == count)
        starts = np.cumsum(self.counts) - self.counts
        return rows, self.values[starts[rows, None] + np.arange(count)]


Column = np.ndarray | Lists


@dataclass(frozen=True)
class _Property:
    """A property's name in small letters, and the types of its values and of its lists' counts, None for a number."""

    name: str
    kind: np.dtype
    counted: np.dtype | None = None


@dataclass(frozen=True)
class PlyFile:
    """What is in a file: columns by name of the elements by name, and the names of its textures."""

    elements: dict[str, dict[str, Column]]
    textures: tuple[str, ...]


def parse_ply(data: bytes) -> PlyFile:
    """Read a file's contents.

    Raises
    ------
    InputError
        when the header is not one of a PLY file, or the contents are shorter than it says
    """
    end = re.search(rb"end_header[ \t]*(\r\n|\n|\r)", data)
    if not data.startswith(b"ply") or end is None:
        raise InputError("the file has no header of a PLY file")
    lines = data[: end.start()].decode("utf-8", "surrogateescape").splitlines()
    order, textures = "", []
    declared: list[tuple[str, int, list[_Property]]] = []
    for line in lines[1:]:
        words = line.split()
        try:
            match words:
                case ["format", name, *_]:
                    order = ORDERS[name]
                case ["element", name, count]:
                    declared.append((name.lower(), int(count), []))
                case ["property", "list", counted, kind, name]:
                    types = np.dtype(order + TYPES[kind]), np.dtype(order + TYPES[counted])
                    declared[-1][2].append(_Property(name.lower(), *types))
                case ["property", kind, name]:
                    declared[-1][2].append(_Property(name.lower(), np.dtype(order + TYPES[kind])))
                case ["comment", word, _, *_] if word.lower() == "texturefile":
                    textures.append(line.split(None, 2)[2].strip())
        except (KeyError, IndexError, ValueError):
            raise InputError(f"the line '{line[:60]}' of the file's header cannot be read") from None
    if not order:
        raise InputError("the file's header does not say its format")
    body = _Text(data[end.end() :]) if order == "=" else _Binary(data[end.end() :])
    try:
        elements = {name: _element(body, count, properties) for name, count, properties in declared}
    except (ValueError, IndexError, OverflowError):
        raise InputError("the file is shorter than its header says, or damaged") from None
    return PlyFile(elements, tuple(textures))


class _Binary:
    """Rows of a binary file, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def rows(self, count: int, fields: list[tuple[str, np.dtype, int]], keep: bool = True) -> np.ndarray:
        """The next rows as a structured array; without `keep` they are only looked at."""
        kind = np.dtype([(name, one, (size,)) for name, one, size in fields])
        found = np.frombuffer(self._data, kind, count, self._place)
        if keep:
            self._place += count * kind.itemsize
        return found


class _Text:
    """Rows of a text file, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._words, self._place = data.split(), 0

    def rows(self, count: int, fields: list[tuple[str, np.dtype, int]], keep: bool = True) -> np.ndarray:
        width = sum(size for _, _, size in fields)
        words = self._words[self._place : self._place + count * width]
        values = np.array(words, np.float64).reshape(count, width)
        found = np.zeros(count, [(name, one, (size,)) for name, one, size in fields])
        first = 0
        for name, _, size in fields:
            found[name] = values[:, first : first + size]
            first += size
        if keep:
            self._place += count * width
        return found


def _element(body: _Binary | _Text, count: int, properties: list[_Property]) -> dict[str, Column]:
    """The columns of the next element."""
    if count == 0 or not properties:
        return {}
    sizes = _sizes(body, properties)
    try:
        rows = body.rows(count, _fields(properties, sizes), keep=False)
    except ValueError:  # too few bytes for lists that are all as long as the first one's
        rows = None
    if rows is None or any((rows[f"#{name}"] != size).any() for name, size in sizes.items()):
        return _one_by_one(body, count, properties)
    body.rows(count, _fields(properties, sizes))
    return {
        one.name: Lists(np.full(count, sizes[one.name]), rows[one.name].ravel())
        if one.counted
        else rows[one.name][:, 0]
        for one in properties
    }


def _sizes(body: _Binary | _Text, properties: list[_Property]) -> dict[str, int]:
    """Lengths of the lists of the next row."""
    sizes: dict[str, int] = {}
    for index, one in enumerate(properties):
        if one.counted is not None:
            before = _fields(properties[:index], sizes)
            sizes[one.name] = int(body.rows(1, [*before, ("size", one.counted, 1)], keep=False)["size"][0, 0])
    return sizes


def _fields(properties: list[_Property], sizes: dict[str, int]) -> list[tuple[str, np.dtype, int]]:
    fields = []
    for one in properties:
        if one.counted is not None:
            fields.append((f"#{one.name}", one.counted, 1))
        fields.append((one.name, one.kind, sizes.get(one.name, 1)))
    return fields


def _one_by_one(body: _Binary | _Text, count: int, properties: list[_Property]) -> dict[str, Column]:
    """The columns of an element whose lists are of different lengths."""
    found: dict[str, list[np.ndarray]] = {one.name: [] for one in properties}
    for _ in range(count):
        row = body.rows(1, _fields(properties, _sizes(body, properties)))
        for one in properties:
            found[one.name].append(row[one.name][0])
    return {
        one.name: Lists(np.array([len(values) for values in found[one.name]]), np.concatenate(found[one.name]))
        if one.counted is not None
        else np.concatenate(found[one.name])
        for one in properties
    }

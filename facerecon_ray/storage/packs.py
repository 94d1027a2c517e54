"""Packs: the files of all faces of a shard in one tar, in WebDataset's layout, each read by its range.

OUT/packs/part-<shard>-<token>.tar     for each face <photo key>/<face index>.glb, .jpg and .json, in this order
OUT/packs/pieces/<shard>/<token>.tar   some of them, as workers leave them for the pack

The files of a face are its sample. A row knows where its sample lies and where in it the files are. Samples may be
moved from one pack to another as they are; a pack is never changed, one with other samples has another name.
"""

import re
import secrets
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from facerecon_ray.errors import MissingObjectError, OutputError, StorageError, StoreUnavailableError
from facerecon_ray.storage.layout import PACKS, PIECES
from facerecon_ray.storage.manifest import Manifest, part_name
from facerecon_ray.storage.objects import ObjectStore
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.schema import PLACES, URIS

_END = bytes(2 * tarfile.BLOCKSIZE)
_CHUNK_BYTES = 4 << 20
_READERS = 4
_PACK = re.compile(rf"{PACKS}/part-(\d+)-[0-9a-f]+\.tar")


class Extent(NamedTuple):
    """Bytes of a file from one place to another."""

    name: str
    start: int
    end: int


def file_columns(kind: str) -> list[str]:
    """Columns of the manifest that say where a face's file of a kind, mesh or preview, lies."""
    return [f"{kind}_uri", f"{kind}_offset", f"{kind}_length"]


def read_face_file(store: ObjectStore, row: Mapping[str, Any], kind: str) -> bytes:
    """A face's mesh or preview: a file of its own, or a range of a pack.

    Parameters
    ----------
    store : the job's output
    row : of the manifest, with the `file_columns` of the kind

    Raises
    ------
    MissingObjectError
        when there is none
    StorageError
        as of `ObjectStore.read`
    """
    uri, offset, length = (row[name] for name in file_columns(kind))
    if not uri:
        raise MissingObjectError(f"{store.uri}: the face has no {kind}")
    if offset is None:
        return store.read(uri)
    return store.read_range(pack_of(uri), offset, offset + length)


def is_packed(uri: str) -> bool:
    """Whether a file lies in a pack: no other file's name has this sign."""
    return "#" in uri


def pack_of(uri: str) -> str:
    """Name of the pack that a file lies in."""
    return uri.partition("#")[0]


def sample(key: str, files: Mapping[str, bytes]) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """A face's files as members of a tar, one behind the other, which readers of WebDataset rely on.

    Parameters
    ----------
    key : <photo key>/<face index>, with which the members' names begin
    files : their contents, by the ends of their names

    Returns
    -------
    The bytes, and the offset in them and the length of each file
    """
    parts: list[bytes] = []
    places, size = {}, 0
    for suffix, data in files.items():
        member = tarfile.TarInfo(f"{key}.{suffix}")
        member.size = len(data)
        header = member.tobuf(tarfile.GNU_FORMAT)
        places[suffix] = size + len(header), len(data)
        added = (header, data, bytes(-len(data) % tarfile.BLOCKSIZE))
        parts += added
        size += sum(map(len, added))
    return b"".join(parts), places


def new_piece(shard: int) -> str:
    """Name for a piece of a shard's pack."""
    return f"{_pieces_of(shard)}{secrets.token_hex(8)}.tar"


def new_pack(shard: int) -> str:
    """Name for a shard's pack."""
    return f"{_packs_of(shard)}{secrets.token_hex(8)}.tar"


def repacked(rows: pa.Table, pack: str) -> tuple[pa.Table, list[Extent]]:
    """Rows whose samples lie in one pack in their order, and the extents of other files that it consists of.

    Parameters
    ----------
    rows : of the manifest, as PLACES of them say in pieces or packs
    pack : its name
    """
    uris = {name: rows[name].to_pylist() for name in URIS}
    places = {name: rows[name].to_pylist() for name in PLACES}
    extents: list[Extent] = []
    end = 0
    for row, (start, length) in enumerate(zip(places["sample_offset"], places["sample_length"], strict=True)):
        if start is None:
            continue
        name = next(pack_of(column[row]) for column in uris.values() if column[row])
        if extents and extents[-1].name == name and extents[-1].end == start:
            extents[-1] = extents[-1]._replace(end=start + length)
        else:
            extents.append(Extent(name, start, start + length))
        for column in (values for place, values in places.items() if place.endswith("_offset")):
            column[row] = None if column[row] is None else column[row] - start + end
        for column in uris.values():
            column[row] = column[row] and f"{pack}#{column[row].partition('#')[2]}"
        end += length
    for name, values in (uris | places).items():
        number = rows.schema.get_field_index(name)
        rows = rows.set_column(number, rows.schema.field(number), pa.array(values, rows.schema.field(number).type))
    return rows, extents


def assemble(output: OutputFolder, pack: str, extents: Iterable[Extent]) -> None:
    """Write a pack of extents of other files, a few megabytes at a time.

    Raises
    ------
    OutputError
        when one of them is not there, or it cannot be written
    """
    chunks = (
        Extent(name, place, min(place + _CHUNK_BYTES, end))
        for name, start, end in extents
        for place in range(start, end, _CHUNK_BYTES)
    )
    with ThreadPoolExecutor(_READERS) as threads:
        output.write_stream(pack, chain(_read_ahead(output.store, chunks, threads), (_END,)))


def _read_ahead(store: ObjectStore, chunks: Iterable[Extent], threads: ThreadPoolExecutor) -> Iterator[bytes]:
    reading: deque[Future[bytes]] = deque()
    for chunk in chunks:
        reading.append(threads.submit(_read, store, chunk))
        if len(reading) > _READERS:
            yield reading.popleft().result()
    while reading:
        yield reading.popleft().result()


def _read(store: ObjectStore, extent: Extent) -> bytes:
    try:
        return store.read_range(*extent)
    except StoreUnavailableError:
        raise
    except StorageError as error:
        advice = "the same command does its photos again"
        if match := _PACK.fullmatch(extent.name):
            advice = f"delete {store.describe(part_name(int(match[1])))}, and {advice}"
        raise OutputError(f"{error}; {advice}") from None


def delete_others(output: OutputFolder, shard: int, rows: pa.Table) -> None:
    """Delete a shard's pieces, and its packs but the one that the rows, which are in the manifest, lie in."""
    output.delete(others(output, shard, rows))


def others(output: OutputFolder, shard: int, rows: pa.Table) -> Iterator[str]:
    """Names of a shard's pieces and packs but the one that the rows lie in."""
    named = _packs_in(rows)
    for prefix in (_pieces_of(shard), _packs_of(shard)):
        yield from (found.name for found in output.store.list(prefix) if found.name not in named)


def clean(output: OutputFolder, manifest: Manifest) -> None:
    """Delete what killed runs have left: pieces, and packs that the manifest does not name; while nobody writes."""
    output.clear_pieces()
    packs: dict[int, list[str]] = {}
    for found in output.store.list(f"{PACKS}/part-"):
        if match := _PACK.fullmatch(found.name):
            packs.setdefault(int(match[1]), []).append(found.name)
    done = set(manifest.shards())
    for shard, names in packs.items():
        if shard not in done:
            output.delete(names)
        elif len(names) > 1:
            named = _packs_in(manifest.read(part_name(shard), list(URIS)))
            output.delete(name for name in names if name not in named)
    try:
        output.store.delete_unfinished((PACKS,))
    except StoreUnavailableError:
        raise
    except StorageError:
        # Who may write need not be allowed to list what was not written; buckets have rules that delete it in time.
        return


def _packs_in(rows: pa.Table) -> set[str]:
    return {pack_of(uri) for name in URIS for uri in pc.unique(rows[name]).to_pylist() if uri}


def _packs_of(shard: int) -> str:
    return f"{PACKS}/part-{shard:08d}-"


def _pieces_of(shard: int) -> str:
    return f"{PIECES}/{shard:08d}/"

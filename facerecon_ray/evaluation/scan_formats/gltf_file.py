"""glTF 2.0 files, .glb or .gltf: their JSON, the bytes of their buffers, and the numbers of their accessors.

Specification: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, sections 3.6 and 4.4.
"""

import base64
import binascii
import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.scan_formats.nearby_files import find_beside

MAGIC, JSON_CHUNK, BINARY_CHUNK = b"glTF", 0x4E4F534A, 0x004E4942
COMPONENTS = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
COMPRESSIONS = {
    "KHR_draco_mesh_compression": "Draco",
    "EXT_meshopt_compression": "meshopt",
    "KHR_meshopt_compression": "meshopt",
}


class GltfFile:
    """A file that is read.

    content  its JSON

    Raises
    ------
    InputError
        when it is no glTF 2.0 file, damaged, or compressed
    """

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        data = path.read_bytes()
        text, self._binary = _chunks(data) if data.startswith(MAGIC) else (data, b"")
        try:
            self.content: dict[str, Any] = json.loads(text)
            version = str(self.content["asset"]["version"])
        except (ValueError, KeyError, TypeError):
            raise InputError("the file is no glTF file, or it is damaged") from None
        if not version.startswith("2."):
            raise InputError(f"the file is of glTF {version}, only 2.0 is read")
        for extension in self.content.get("extensionsRequired", ()):
            if extension in COMPRESSIONS:
                raise InputError(
                    f"the file is compressed with {COMPRESSIONS[extension]}; save it without compression, for "
                    "instance with `gltf-transform copy` or from Blender"
                )
        self._buffers: dict[int, bytes] = {}

    def items(self, kind: str) -> list[dict[str, Any]]:
        """All nodes, meshes, materials and so on of a file."""
        found: list[dict[str, Any]] = self.content.get(kind, [])
        return found

    def accessor(self, index: int) -> np.ndarray:
        """(N, C) the numbers of an accessor; float64 from 0 or -1 to 1 where they are normalized integers."""
        one = self.items("accessors")[index]
        kind, size, count = np.dtype(COMPONENTS[one["componentType"]]), SIZES[one["type"]], int(one["count"])
        if "bufferView" in one:
            values = self._strided(one["bufferView"], one.get("byteOffset", 0), kind, size, count)
        else:
            values = np.zeros((count, size), kind)
        if sparse := one.get("sparse"):
            changed, replaced = sparse["indices"], sparse["values"]
            index_kind = np.dtype(COMPONENTS[changed["componentType"]])
            places = self._strided(changed["bufferView"], changed.get("byteOffset", 0), index_kind, 1, sparse["count"])
            values = values.copy()
            values[places[:, 0]] = self._strided(
                replaced["bufferView"], replaced.get("byteOffset", 0), kind, size, sparse["count"]
            )
        if one.get("normalized") and kind.kind in "iu":
            return np.maximum(values / float(np.iinfo(values.dtype.name).max), -1.0)
        return values

    def view(self, index: int) -> tuple[bytes, int | None]:
        """Bytes of a buffer view, and from how many to how many its elements lie, None for close together."""
        one = self.items("bufferViews")[index]
        start, length = one.get("byteOffset", 0), one["byteLength"]
        data = self._buffer(one["buffer"])[start : start + length]
        if len(data) < length:
            raise InputError("the file is shorter than it says")
        return data, one.get("byteStride")

    def linked(self, uri: str) -> bytes | None:
        """What a URI in the file means, None where there is no such file."""
        if uri.startswith("data:"):
            try:
                return base64.b64decode(uri.partition(",")[2], validate=True)
            except binascii.Error:
                return None
        place = find_beside(self._folder, unquote(uri))
        return None if place is None else place.read_bytes()

    def _strided(self, view: int, offset: int, kind: np.dtype, size: int, count: int) -> np.ndarray:
        data, stride = self.view(view)
        width = kind.itemsize * size
        little = kind.newbyteorder("<")
        if count and offset + (count - 1) * (stride or width) + width > len(data):
            raise InputError("the file is damaged: some of its numbers lie outside of their buffer")
        return np.ndarray((count, size), little, data, offset, (stride or width, kind.itemsize)).astype(kind)

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            uri = self.items("buffers")[index].get("uri")
            data = self._binary if uri is None else self.linked(uri)
            if data is None:
                raise InputError(f"the file's buffer {(uri or '')[:60]} is not there")
            self._buffers[index] = data
        return self._buffers[index]


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    """JSON and bytes of a .glb file."""
    found: dict[int, bytes] = {}
    try:
        version = struct.unpack_from("<I", data, 4)[0]
        place = 12
        while place + 8 <= len(data) and version == 2:
            length, kind = struct.unpack_from("<II", data, place)
            found.setdefault(kind, data[place + 8 : place + 8 + length])
            place += 8 + length
    except struct.error:
        raise InputError("the file is no glTF file, or it is damaged") from None
    if version != 2:
        raise InputError(f"the file is of glTF {version}, only 2.0 is read")
    return found.get(JSON_CHUNK, b""), found.get(BINARY_CHUNK, b"")

"""Mesh files: glTF 2.0 with the texture in it, and OBJ and PLY with a colour for each vertex."""

import json
from typing import Any, Literal, get_args

import cv2
import numpy as np

from facerecon_ray.geometry.textured_mesh import TexturedMesh

MeshFormat = Literal["glb", "obj", "ply"]
FORMATS: tuple[MeshFormat, ...] = get_args(MeshFormat)

MILLIMETRES = 1000.0
OBJ_DIGITS = 4

TEXTURE_BYTES = 180_000
JPEG_QUALITIES = (92, 88, 82, 75, 60)
"""Qualities that are tried for a texture until its file is small enough, its colours at full resolution; the last one
counts in any case."""

_HEADER_BYTES, _CHUNK_BYTES = 12, 8
_FLOAT, _UINT16, _UINT32 = 5126, 5123, 5125
_ATTRIBUTES, _INDICES = 34962, 34963
_LINEAR, _CLAMPED = 9729, 33071


def encode_mesh(mesh: TexturedMesh, kind: MeshFormat) -> bytes:
    """Contents of a file.

    glb  metres, with the texture as a JPEG; glTF 2.0 without extensions, sparse accessors and normalized integers,
         over which readers differ
    obj  millimetres, with a colour for each vertex; one file without a material file beside it
    ply  millimetres, binary, with a colour for each vertex
    """
    if kind == "glb":
        return _encode_glb(mesh)
    # trimesh takes a second to load, and most jobs write GLB.
    import trimesh

    coloured = trimesh.Trimesh(
        mesh.vertices * MILLIMETRES,
        mesh.triangles,
        vertex_normals=mesh.normals,
        visual=trimesh.visual.ColorVisuals(vertex_colors=mesh.vertex_colours()),
        process=False,
        validate=False,
    )
    if kind == "ply":
        return bytes(trimesh.exchange.ply.export_ply(coloured, vertex_normal=True))
    return str(trimesh.exchange.obj.export_obj(coloured, include_normals=True, digits=OBJ_DIGITS)).encode()


def glb_texture(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8 texture of a GLB that `encode_mesh` made.

    Raises
    ------
    ValueError
        when it is none, or damaged
    """
    try:
        length = int(np.frombuffer(data, "<u4", 1, _HEADER_BYTES)[0])
        start = _HEADER_BYTES + _CHUNK_BYTES
        content = json.loads(data[start : start + length])
        view = content["bufferViews"][content["images"][0]["bufferView"]]
        first = start + length + _CHUNK_BYTES + view["byteOffset"]
        picture = cv2.imdecode(np.frombuffer(data, np.uint8, view["byteLength"], first), cv2.IMREAD_COLOR)
    except (ValueError, LookupError, TypeError, cv2.error):
        picture = None
    if picture is None:
        raise ValueError("this is no GLB with a texture")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _encode_glb(mesh: TexturedMesh) -> bytes:
    """Binary glTF: a header, a chunk of JSON, and one of arrays."""
    is_small = len(mesh.vertices) <= np.iinfo(np.uint16).max  # glTF keeps the largest index for restarts
    arrays = (
        ("VEC3", _FLOAT, _ATTRIBUTES, mesh.vertices.astype("<f4")),
        ("VEC3", _FLOAT, _ATTRIBUTES, mesh.normals.astype("<f4")),
        ("VEC2", _FLOAT, _ATTRIBUTES, mesh.uv.astype("<f4")),
        ("SCALAR", _UINT16 if is_small else _UINT32, _INDICES, mesh.triangles.astype("<u2" if is_small else "<u4")),
    )
    parts = [array.tobytes() for *_, array in arrays] + [_jpeg(mesh.texture)]
    views, length = [], 0
    for part in parts:
        views.append({"buffer": 0, "byteOffset": length, "byteLength": len(part)})
        length += len(part) + -len(part) % 4
    accessors: list[dict[str, Any]] = []
    for number, (shape, component, target, array) in enumerate(arrays):
        views[number]["target"] = target
        count = array.size if shape == "SCALAR" else len(array)
        accessors.append({"bufferView": number, "componentType": component, "count": count, "type": shape})
    positions = arrays[0][-1]
    accessors[0] |= {"min": positions.min(0).tolist(), "max": positions.max(0).tolist()}
    content = {
        "asset": {"version": "2.0", "generator": "facerecon_ray"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "face"}],
        "meshes": [
            {
                "name": "face",
                "primitives": [
                    {"attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2}, "indices": 3, "material": 0}
                ],
            }
        ],
        "materials": [
            {
                "name": "skin",
                "doubleSided": True,
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "metallicFactor": 0.0,
                    "roughnessFactor": 1.0,
                },
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": _LINEAR, "minFilter": _LINEAR, "wrapS": _CLAMPED, "wrapT": _CLAMPED}],
        "images": [{"bufferView": 4, "mimeType": "image/jpeg"}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": length}],
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(part + bytes(-len(part) % 4) for part in parts)
    chunks = ((b"JSON", text), (b"BIN\0", binary))
    body = b"".join(len(data).to_bytes(4, "little") + name + data for name, data in chunks)
    return b"glTF" + np.array([2, _HEADER_BYTES + len(body)], "<u4").tobytes() + body


def _jpeg(pixels: np.ndarray) -> bytes:
    """A texture (H, W, 3) uint8 RGB in the best quality that `TEXTURE_BYTES` allow."""
    picture = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    full_colours = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    data = b""
    for quality in JPEG_QUALITIES:
        data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, quality, *full_colours))[1].tobytes()
        if len(data) <= TEXTURE_BYTES:
            break
    return data

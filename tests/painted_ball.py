"""A ball whose colours are known everywhere, as numbers and as a texture, for files of every kind."""

import io
import json
import struct
from typing import Any

import cv2
import numpy as np
import trimesh
from PIL import Image
from scipy.spatial import KDTree

from facerecon_ray.evaluation.scan import Scan

BALL = trimesh.creation.icosphere(3, 100.0)
VERTICES, TRIANGLES = np.array(BALL.vertices), np.array(BALL.faces, np.int64)
UV = (VERTICES[:, :2] / 100 + 1) / 2 * 0.9 + 0.05
"""Places in the texture, v from the bottom up."""

PAGE_SIZE = 256


def painted(points: np.ndarray) -> np.ndarray:
    """(N, 3) colours 0 to 255 of points: redder to the right, greener downwards."""
    u, v = ((points[:, :2] / 100 + 1) / 2 * 0.9 + 0.05).T
    return np.stack([255 * u, 255 * (1 - v), np.full(len(u), 60.0)], 1)


COLOURS = painted(VERTICES).round().astype(np.uint8)
MIDDLES = painted(VERTICES[TRIANGLES].mean(1)).round().astype(np.uint8)
"""Of the triangles."""


def page() -> np.ndarray:
    """(H, W, 3) uint8 the texture."""
    ramp = (np.arange(PAGE_SIZE) + 0.5) / PAGE_SIZE * 255
    columns, rows = np.meshgrid(ramp, ramp)
    return np.stack([columns, rows, np.full_like(rows, 60)], 2).round().astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """Contents of a PNG; grey or RGB or RGBA, of 8 or 16 bits."""
    return cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]])[
        1
    ].tobytes()


def jpeg() -> bytes:
    """The texture as a JPEG."""
    file = io.BytesIO()
    Image.fromarray(page()).save(file, "JPEG", quality=98, subsampling=0)
    return file.getvalue()


def obj(
    faces: list[str] | None = None,
    colours: np.ndarray | None = None,
    head: str = "mtllib head.mtl\nusemtl skin\n",
    uv: np.ndarray = UV,
) -> str:
    """Text of an OBJ file, with places in the texture; colours follow the places of the vertices."""
    values = VERTICES if colours is None else np.hstack([VERTICES, colours])
    lines = ["v " + " ".join(f"{number:.9g}" for number in row) for row in values]
    lines += [f"vt {u:.9g} {v:.9g}" for u, v in uv]
    faces = faces or ["f " + " ".join(f"{corner}/{corner}" for corner in row) for row in TRIANGLES + 1]
    return head + "\n".join(lines + faces) + "\n"


def glb(
    attributes: dict[str, tuple[np.ndarray, bool]],
    material: dict[str, Any] | None = None,
    images: tuple[tuple[str, bytes], ...] = (),
    **more: Any,
) -> bytes:
    """A GLB of the ball's triangles: attributes by name, with whether they are normalized integers."""
    kinds = {"float32": 5126, "uint8": 5121, "uint16": 5123, "int16": 5122, "uint32": 5125, "int8": 5120}
    blob, views, accessors = b"", [], []

    def stored(data: bytes, stride: int | None = None) -> int:
        nonlocal blob
        blob += bytes(-len(blob) % 4)
        views.append(
            {"buffer": 0, "byteOffset": len(blob), "byteLength": len(data)}
            | ({"byteStride": stride} if stride else {})
        )
        blob += data
        return len(views) - 1

    def accessor(values: np.ndarray, normalized: bool = False) -> int:
        width = values[0].nbytes
        stride = width + -width % 4 if values.ndim == 2 else None
        rows = b"".join(row.tobytes().ljust(stride or width, b"\0") for row in values)
        accessors.append(
            {
                "bufferView": stored(rows, stride),
                "componentType": kinds[values.dtype.name],
                "count": len(values),
                "type": "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}",
            }
            | ({"normalized": True} if normalized else {})
        )
        return len(accessors) - 1

    primitive: dict[str, Any] = {"attributes": {name: accessor(*values) for name, values in attributes.items()}}
    primitive["indices"] = accessor(TRIANGLES.ravel().astype(np.uint16))
    content: dict[str, Any] = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
    }
    if material is not None:
        primitive["material"] = 0
        content["materials"] = [material]
    if images:
        content["images"] = [{"bufferView": stored(data), "mimeType": kind} for kind, data in images]
        content["textures"] = [{"source": index} for index in range(len(images))]
    content |= more | {"buffers": [{"byteLength": len(blob)}]}
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    blob += bytes(-len(blob) % 4)
    return (
        b"glTF"
        + struct.pack("<II", 2, 28 + len(text) + len(blob))
        + struct.pack("<II", len(text), 0x4E4F534A)
        + text
        + struct.pack("<II", len(blob), 0x004E4942)
        + blob
    )


def ply(header: str, vertex: np.ndarray, face: np.ndarray | list[bytes], kind: str = "binary_little_endian") -> bytes:
    """A binary PLY of rows with named fields; the header's lines begin with the elements."""
    rows = b"".join(face) if isinstance(face, list) else face.tobytes()
    return f"ply\nformat {kind} 1.0\n{header}end_header\n".encode() + vertex.tobytes() + rows


def worst_colour(scan: Scan, truth: Any = painted) -> float:
    """How far a scan's colours are from what is painted, at worst, at the middles of its triangles; 0 to 255."""
    colours = scan.colours.at_vertices()
    assert colours is not None
    corners = scan.vertices[scan.triangles]
    return float(np.abs(colours[scan.triangles].mean(1) - truth(corners.mean(1))).max())


def same_surface(scan: Scan, vertices: np.ndarray = VERTICES) -> bool:
    """Whether a scan has the ball's triangles, in any order, each turned any way."""

    def middles(corners: np.ndarray) -> np.ndarray:
        sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return corners[np.linalg.norm(sides, axis=1) > 1].mean(1)

    found, wanted = middles(scan.vertices[scan.triangles]), middles(vertices[TRIANGLES])
    gaps = KDTree(found).query(wanted)[0]
    return len(found) == len(wanted) and float(gaps.max()) < 0.05

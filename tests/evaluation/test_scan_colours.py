"""Scans as scanners and their programs write them: the surface and the colours are right, or the notes say why not."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from painted_ball import (
    BALL,
    COLOURS,
    MIDDLES,
    TRIANGLES,
    UV,
    VERTICES,
    glb,
    jpeg,
    obj,
    page,
    painted,
    ply,
    png,
    same_surface,
    worst_colour,
)

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.scan_files import read_scan
from facerecon_ray.evaluation.scan_formats.colour_values import from_linear, to_linear
from facerecon_ray.geometry.mesh_picture import MeshColours, mesh_picture

Files = dict[str, bytes | str]

SKIN = "newmtl skin\nKd 0.7 0.7 0.7\nmap_Kd head.png\n"
ABOVE = VERTICES[TRIANGLES].mean(1)[:, 1] > 0
LIGHT = to_linear(COLOURS)
RED = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}
PNG = (("image/png", png(page())),)
POINTS = {"POSITION": (VERTICES.astype(np.float32), False)}
DOWN = np.float32(UV * (1, -1) + (0, 1))
WITH_UV = POINTS | {"TEXCOORD_0": (DOWN, False)}


def faces(triangles: np.ndarray, places_from: int = 0) -> list[str]:
    return ["f " + " ".join(f"{c}/{c + places_from}" for c in row) for row in triangles + 1]


def textured(mtl: str = SKIN, name: str = "head.png", text: str | None = None, picture: bytes | None = None) -> Files:
    return {"head.obj": text or obj(), "head.mtl": mtl, name: picture or png(page())}


def counted_back() -> str:
    """Two parts, each with its vertices before its faces, which count back from there."""
    lines = ["mtllib head.mtl", "usemtl skin"]
    for half in (TRIANGLES[ABOVE], TRIANGLES[~ABOVE]):
        used, index = np.unique(half, return_inverse=True)
        lines += [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in VERTICES[used]]
        lines += [f"vt {u:.9g} {v:.9g}" for u, v in UV[used]]
        lines += ["f " + " ".join(f"{c}/{c}" for c in row) for row in index.reshape(-1, 3) - len(used)]
    return "\n".join(lines)


def two_pages() -> Files:
    """Each half of the ball in a texture of its own; in the second, places are beyond 1, where it repeats."""
    parts = ["usemtl upper part", *faces(TRIANGLES[ABOVE]), "usemtl lower", *faces(TRIANGLES[~ABOVE], len(UV))]
    text = obj(parts, head="mtllib a.mtl\nmtllib b.mtl\n", uv=np.concatenate([UV, UV + (3, -2)]))
    return {
        "head.obj": text,
        "a.mtl": "newmtl upper part\nmap_Kd a.png\n",
        "b.mtl": "newmtl lower\nmap_Kd b.jpg\n",
        "a.png": png(page()),
        "b.jpg": jpeg(),
    }


def ply_rows(*names: tuple[str, str, np.ndarray], order: str = "<") -> np.ndarray:
    rows = np.zeros(len(names[0][2]), [(name, order + kind) for name, kind, _ in names])
    for name, _, values in names:
        rows[name] = values
    return rows


def xyz(order: str = "<") -> list[tuple[str, str, np.ndarray]]:
    return [(name, "f4", VERTICES[:, axis]) for axis, name in enumerate("xyz")]


PLACES = "".join(f"property float {name}\n" for name in "xyz")
INDICES = f"element face {len(TRIANGLES)}\nproperty list uchar int vertex_indices\n"


def ply_faces(order: str = "<", *more: tuple[str, Any, np.ndarray]) -> np.ndarray:
    rows = np.zeros(
        len(TRIANGLES),
        [("n", "u1"), ("i", order + "i4", 3), *((name, kind, *values.shape[1:]) for name, kind, values in more)],
    )
    rows["n"], rows["i"] = 3, TRIANGLES
    for name, _, values in more:
        rows[name] = values
    return rows


def coloured_ply(kind: str, colours: np.ndarray, order: str = "<", names: str = "red green blue") -> bytes:
    words = {"u1": "uchar", "u2": "ushort", "f4": "float"}
    header = f"element vertex {len(VERTICES)}\n{PLACES}"
    header += "".join(f"property {words[kind]} {name}\n" for name in names.split())
    columns = [(name, kind, colours[:, axis]) for axis, name in enumerate(names.split())]
    binary = "binary_little_endian" if order == "<" else "binary_big_endian"
    return ply(header + INDICES, ply_rows(*xyz(), *columns, order=order), ply_faces(order), binary)


def corner_ply(text: bool = False) -> Files:
    """Places by corner, two textures, as MeshLab writes them."""
    corners = UV[TRIANGLES].reshape(-1, 6)
    header = (
        f"comment TextureFile upper one.png\ncomment TextureFile b.jpg\nelement vertex {len(VERTICES)}\n{PLACES}"
        f"{INDICES}property list uchar float texcoord\nproperty int texnumber\n"
    )
    number = np.where(ABOVE, 0, 1)
    pictures: Files = {"upper one.png": png(page()), "b.jpg": jpeg()}
    if not text:
        rows = ply_faces("<", ("m", "u1", np.full(len(corners), 6)), ("uv", "<f4", corners), ("page", "<i4", number))
        return {"head.ply": ply(header, ply_rows(*xyz()), rows), **pictures}
    lines = [" ".join(f"{value:.9g}" for value in row) for row in VERTICES]
    lines += [
        f"3 {a} {b} {c} 6 {' '.join(f'{value:.9g}' for value in uv)} {one}"
        for (a, b, c), uv, one in zip(TRIANGLES, corners, number, strict=True)
    ]
    return {"head.ply": f"ply\r\nformat ascii 1.0\r\n{header}end_header\r\n" + "\r\n".join(lines), **pictures}


def face_coloured_ply() -> bytes:
    header = f"element vertex {len(VERTICES)}\n{PLACES}{INDICES}"
    header += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue", "alpha"))
    rows = ply_faces("<", ("rgb", "u1", MIDDLES), ("a", "u1", np.full(len(MIDDLES), 255)))
    return ply(header, ply_rows(*xyz()), rows)


def off(head: str, vertex: np.ndarray, face: np.ndarray | None = None, form: str = "{:.9g}") -> str:
    rows = [" ".join(form.format(value) for value in row) for row in vertex]
    ends = [""] * len(TRIANGLES) if face is None else [" ".join(str(value) for value in row) for row in face]
    rows += [f"3 {a} {b} {c} {end}" for (a, b, c), end in zip(TRIANGLES, ends, strict=True)]
    return f"{head}\n# made by hand\n{len(VERTICES)} {len(TRIANGLES)} 0\n" + "\n".join(rows)


def gltf_in_files() -> Files:
    """A .gltf with its buffer in a data URI and its texture beside it."""
    data = glb(WITH_UV, RED)
    length = int.from_bytes(data[12:16], "little")
    content = json.loads(data[20 : 20 + length])
    content["buffers"][0]["uri"] = (
        "data:application/octet-stream;base64," + base64.b64encode(data[28 + length :]).decode()
    )
    content["images"], content["textures"] = [{"uri": "my%20skin.png"}], [{"source": 0}]
    return {"head.gltf": json.dumps(content), "my skin.png": png(page())}


def quads() -> str:
    """Each triangle with a fourth corner in the middle of an edge, so that the surface is the same."""
    lines, count = [], len(VERTICES)
    extra = (VERTICES[TRIANGLES[:, 2]] + VERTICES[TRIANGLES[:, 0]]) / 2
    extra_uv = (UV[TRIANGLES[:, 2]] + UV[TRIANGLES[:, 0]]) / 2
    for index, row in enumerate(TRIANGLES + 1):
        lines.append("f " + " ".join(f"{c}/{c}" for c in (*row, count + index + 1)))
    values = np.vstack([VERTICES, extra])
    head = ["mtllib head.mtl", "usemtl skin", *(f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in values)]
    return "\n".join([*head, *(f"vt {u:.9g} {v:.9g}" for u, v in np.vstack([UV, extra_uv])), *lines])


def packed(values: np.ndarray) -> np.ndarray:
    return np.round(values * 65535).astype(np.uint16)


SIXTEEN = np.round(page() * 257.0).astype(np.uint16)
TIFF = cv2.imencode(".tif", SIXTEEN[..., ::-1])[1].tobytes()
ONES = np.ones((len(VERTICES), 1))
BROKEN_LINES = obj().replace("f ", "f \\\n", 50).replace("\n", "\r\n")
SCALED = "newmtl skin\nmap_Kd -s 0.5 2 1 -o 0.25 0.1 head.png"
QUANTIZED = {"POSITION": (np.round(VERTICES / 100 * 32767).astype(np.int16), True), "TEXCOORD_0": (DOWN, False)}
NODES = [{"children": [1], "scale": [2, 2, 2]}, {"mesh": 0, "scale": [50, 50, 50]}]
SHIFT = {"KHR_texture_transform": {"scale": [2, 2], "offset": [-0.25, 0.5], "texCoord": 1}}
SHIFTED = np.float32((DOWN - (-0.25, 0.5)) / 2)
TRANSFORMED = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, "extensions": SHIFT}}}
OLD_MATERIAL = {"extensions": {"KHR_materials_pbrSpecularGlossiness": {"diffuseTexture": {"index": 0}}}}

RIGHT: dict[str, Files] = {
    "obj": textured(),
    "obj, CRLF and continued lines": textured(SKIN.replace("\n", "\r\n"), text=BROKEN_LINES),
    "obj, byte order mark and comments": textured(
        text="\ufeff# scan\n" + obj().replace("usemtl", "g head\ns 1\nusemtl")
    ),
    "obj, options of the map": textured("newmtl skin\nmap_Kd -blendu on -s 1 1 1 -o 0 0 -clamp off head.png"),
    "obj, the map is scaled": textured(SCALED, text=obj(uv=(UV - (0.25, 0.1)) / (0.5, 2))),
    "obj, paths of the other machine": textured("newmtl skin\nmap_Kd C:\\scans\\anna\\head.png"),
    "obj, a backslash and other case": textured(
        "newmtl SKIN\nMAP_KD .\\Head.PNG", text=obj(head="mtllib .\\HEAD.mtl\nusemtl skin\n")
    ),
    "obj, blanks in names": {
        "my head.obj": obj(head="mtllib my head.mtl\nusemtl my skin\n"),
        "my head.mtl": "newmtl my skin\nmap_Kd my head.png",
        "my head.png": png(page()),
    },
    "obj, in folders": {
        "head.obj": obj(head="mtllib mtl/head.mtl\nusemtl skin\n"),
        "mtl/head.mtl": "newmtl skin\nmap_Kd ../tex/head.png",
        "tex/head.png": png(page()),
    },
    "obj, two pages, one repeats": two_pages(),
    "obj, counted back": textured(text=counted_back()),
    "obj, quads": textured(text=quads()),
    "obj, normals": textured(text=obj([f"f {a}/{a}/1 {b}/{b}/1 {c}/{c}/1" for a, b, c in TRIANGLES + 1])),
    "obj, JPEG": textured("newmtl skin\nmap_Kd head.jpg", "head.jpg", picture=jpeg()),
    "obj, alpha is 0": textured(picture=png(np.dstack([page(), np.zeros(page().shape[:2], np.uint8)]))),
    "obj, 16 bits": textured(picture=png(SIXTEEN)),
    "obj, TIFF of 16 bits": textured("newmtl skin\nmap_Kd h.tif", "h.tif", picture=TIFF),
    "obj, colours to 1": {"head.obj": obj(colours=COLOURS / 255, head="")},
    "obj, colours to 255": {"head.obj": obj(colours=COLOURS, head="")},
    "obj, a weight and colours": {"head.obj": obj(colours=np.hstack([ONES, COLOURS / 255]), head="")},
    "obj, colours and a material without a texture": {
        "head.obj": obj(colours=COLOURS / 255),
        "head.mtl": "newmtl skin\nKd 1 1 1\n",
    },
    "ply": {"head.ply": coloured_ply("u1", COLOURS)},
    "ply, big-endian": {"head.ply": coloured_ply("u1", COLOURS, ">")},
    "ply, 16 bits": {"head.ply": coloured_ply("u2", COLOURS * np.uint16(257))},
    "ply, floats to 1": {"head.ply": coloured_ply("f4", COLOURS / 255)},
    "ply, floats to 255": {"head.ply": coloured_ply("f4", COLOURS)},
    "ply, other names": {"head.ply": coloured_ply("u1", COLOURS, names="diffuse_red diffuse_green diffuse_blue")},
    "ply, by corner, two pages": corner_ply(),
    "ply, the same as text": corner_ply(True),
    "off, colours to 255": {"head.off": off("COFF", np.hstack([VERTICES, COLOURS, 255 * ONES]))},
    "off, colours to 1": {"head.off": off("COFF", np.hstack([VERTICES, COLOURS / 255, ONES]), form="{:.7f}")},
    "off, normals and colours": {"head.off": off("CNOFF", np.hstack([VERTICES, VERTICES / 100, COLOURS]))},
    "off, as MeshLab writes it": {
        "head.off": off("NCOFF", np.hstack([VERTICES, COLOURS, 255 * ONES, VERTICES / 100]))
    },
    "off, as MeshLab writes it, with places": {
        "head.off": off("NCSTOFF", np.hstack([VERTICES, COLOURS, 255 * ONES, VERTICES / 100, UV]))
    },
    "off, colours that the header does not name": {"head.off": off("OFF", np.hstack([VERTICES, COLOURS]))},
    "glb": {"head.glb": glb(WITH_UV, RED, PNG)},
    "glb, JPEG": {"head.glb": glb(WITH_UV, RED, (("image/jpeg", jpeg()),))},
    "glb, places as 16-bit integers": {"head.glb": glb(POINTS | {"TEXCOORD_0": (packed(DOWN), True)}, RED, PNG)},
    "glb, colours": {"head.glb": glb(POINTS | {"COLOR_0": (np.float32(LIGHT), False)})},
    "glb, colours as 16-bit integers": {"head.glb": glb(POINTS | {"COLOR_0": (packed(LIGHT), True)})},
    "glb, positions as 16-bit integers": {
        "head.glb": glb(QUANTIZED, RED, PNG, nodes=NODES, extensionsRequired=["KHR_mesh_quantization"])
    },
    "glb, the texture is transformed": {"head.glb": glb(POINTS | {"TEXCOORD_1": (SHIFTED, False)}, TRANSFORMED, PNG)},
    "glb, light of its own": {
        "head.glb": glb(WITH_UV, {"emissiveTexture": {"index": 0}, "emissiveFactor": [1, 1, 1]}, PNG)
    },
    "glb, old materials": {"head.glb": glb(WITH_UV, OLD_MATERIAL, PNG)},
    "gltf": gltf_in_files(),
}


def written(folder: Path, files: Files) -> Path:
    """Write files and give the first one's path."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / next(iter(files))


@pytest.mark.parametrize("files", RIGHT.values(), ids=RIGHT.keys())
def test_the_surface_and_the_colours_are_read_right(tmp_path: Path, files: Files) -> None:
    scan = read_scan(written(tmp_path, files))
    assert scan.notes == ()
    assert same_surface(scan)
    assert worst_colour(scan) < 4


def drawn(vertices: np.ndarray, triangles: np.ndarray, colours: MeshColours) -> np.ndarray:
    points = torch.from_numpy(vertices * (0.3, -0.3, 0.3) + (32, 32, 0)).float()[None]
    return mesh_picture(points, torch.from_numpy(triangles), colours, 64).astype(int)


@pytest.mark.parametrize("name", ["obj", "obj, two pages, one repeats", "ply, by corner, two pages", "ply", "glb"])
def test_the_picture_shows_those_colours(tmp_path: Path, name: str) -> None:
    scan = read_scan(written(tmp_path, RIGHT[name]))
    wanted = drawn(VERTICES, TRIANGLES, MeshColours(vertex=COLOURS))
    assert np.abs(drawn(scan.vertices, scan.triangles, scan.colours) - wanted).max() <= 4


GREY = np.round(65535 * (np.arange(256) + 0.5) / 256).astype(np.uint16)[None].repeat(256, 0)


def grey(points: np.ndarray) -> np.ndarray:
    return np.repeat(painted(points)[:, :1], 3, 1)


def flat(points: np.ndarray) -> np.ndarray:
    return np.where(points[:, 1:2] > 0, (255 * 0.9, 255 * 0.5, 0.0), (0.0, 255 * 0.25, 255.0))


def test_a_grey_texture_of_16_bits_keeps_its_shades(tmp_path: Path) -> None:
    scan = read_scan(written(tmp_path, textured(picture=png(GREY))))
    assert scan.notes == ()
    assert worst_colour(scan, grey) < 4


def test_colours_of_faces_are_read(tmp_path: Path) -> None:
    for name, content in (("head.ply", face_coloured_ply()), ("head.off", off("OFF", VERTICES, MIDDLES))):
        scan = read_scan(written(tmp_path, {name: content}))
        assert scan.notes == ()
        assert same_surface(scan)
        assert worst_colour(scan) < 2


def test_colours_of_materials_are_read_as_they_are_beside_textures_too(tmp_path: Path) -> None:
    parts = ["usemtl red", *faces(TRIANGLES[ABOVE]), "usemtl blue", *faces(TRIANGLES[~ABOVE])]
    plain = {
        "head.obj": obj(parts, head="mtllib head.mtl\n"),
        "head.mtl": "newmtl red\nKd 0.9 0.5 0\nnewmtl blue\nKd 0 0.25 1\n",
    }
    scan = read_scan(written(tmp_path, plain))
    assert scan.notes == ()
    assert worst_colour(scan, flat) < 1
    mixed = plain | {"head.mtl": "newmtl red\nKd 0.9 0.5 0\nnewmtl blue\nmap_Kd head.png\n", "head.png": png(page())}
    scan = read_scan(written(tmp_path, mixed))
    assert scan.notes == ()
    assert worst_colour(scan, lambda points: np.where(points[:, 1:2] > 0, flat(points), painted(points))) < 4


def test_colours_of_gltf_materials_are_linear_light(tmp_path: Path) -> None:
    material = {"pbrMetallicRoughness": {"baseColorFactor": [0.5, 0.5, 0.5, 1.0], "baseColorTexture": {"index": 0}}}
    scan = read_scan(written(tmp_path, {"head.glb": glb(WITH_UV, material, PNG)}))
    assert worst_colour(scan, lambda points: from_linear(to_linear(painted(points)) * 0.5)) < 4


ONE_COLOUR = "one colour all over and was drawn as clay"
CLAY: dict[str, tuple[Files, str]] = {
    "nothing": (
        {"head.obj": obj(head="", uv=UV[:0], faces=[f"f {a} {b} {c}" for a, b, c in TRIANGLES + 1])},
        "the scan has no colours",
    ),
    "places without a texture": ({"head.obj": obj(head="")}, "it has places in a texture, but names no texture"),
    "no material file": ({"head.obj": obj()}, r"its material file head\.mtl is not there"),
    "no texture": ({"head.obj": obj(), "head.mtl": SKIN}, r"its texture head\.png is not there"),
    "no such material": (
        {"head.obj": obj(), "head.mtl": "newmtl other\nKd 1 1 1\n"},
        "its material skin is in no material file",
    ),
    "half a texture": (
        textured(picture=png(page())[:900]),
        r"its texture head\.png cannot be read: it is (truncated|damaged)",
    ),
    "no picture": (textured(picture=b"no picture"), r"head\.png cannot be read: it is no picture of a known kind"),
    "one colour": ({"head.obj": obj(), "head.mtl": "newmtl skin\nKd 0.8 0.8 0.8\n"}, ONE_COLOUR),
    "an empty page": (textured(picture=png(np.full((8, 8, 3), 255, np.uint8))), ONE_COLOUR),
    "white vertices": ({"head.ply": coloured_ply("u1", np.full_like(COLOURS, 255))}, ONE_COLOUR),
    "colours beyond all scales": (
        {"head.ply": coloured_ply("f4", COLOURS * 1e6)},
        "its colours are on no known scale",
    ),
    "a table of colours": (
        {"head.off": off("OFF", VERTICES, np.zeros((len(TRIANGLES), 1), int))},
        "numbers in a table",
    ),
    "glb, no places": ({"head.glb": glb(POINTS, RED, PNG)}, "it has a texture, but no places in it"),
    "glb, no picture": (
        {"head.glb": glb(WITH_UV, RED, (("image/png", b"no picture"),))},
        "its texture in the file cannot be read",
    ),
    "glb, another kind of picture": (
        {"head.glb": glb(WITH_UV, RED, PNG, textures=[{"extensions": {"KHR_texture_basisu": {"source": 0}}}])},
        "of a kind that is not read",
    ),
    "ply, no texture": (
        {"head.ply": corner_ply()["head.ply"]},
        r"its texture upper one\.png is not there; its texture b\.jpg",
    ),
    "stl": ({"head.stl": BALL.export(file_type="stl")}, "the scan has no colours"),
}


@pytest.mark.parametrize(("files", "note"), CLAY.values(), ids=CLAY.keys())
def test_colours_that_cannot_be_read_are_noted_and_the_scan_is_drawn_as_clay(
    tmp_path: Path, files: Files, note: str
) -> None:
    scan = read_scan(written(tmp_path, files))
    assert not scan.colours
    assert same_surface(scan)
    assert re.search(note, "; ".join(scan.notes))
    assert scan.notes[-1].endswith("drawn as clay")


def test_a_scan_that_is_coloured_in_part_says_so(tmp_path: Path) -> None:
    text = obj(colours=COLOURS / 255, head="")
    lines = [" ".join(line.split()[:4]) if line.startswith("v -") else line for line in text.splitlines()]
    scan = read_scan(written(tmp_path, {"head.obj": "\n".join(lines)}))
    assert any(
        re.fullmatch("[0-9]+ of 1,280 triangles have no colours and were drawn as clay", note) for note in scan.notes
    )
    colours = scan.colours.at_vertices()
    assert colours is not None
    right = scan.vertices[:, 0] >= 0
    assert np.abs(colours[right] - painted(scan.vertices[right])).max() <= 1
    assert (np.ptp(colours[~right], axis=0) == 0).all()


REFUSED: dict[str, tuple[Files, str]] = {
    "draco": ({"head.glb": glb(POINTS, extensionsRequired=["KHR_draco_mesh_compression"])}, "compressed with Draco"),
    "meshopt": ({"head.glb": glb(POINTS, extensionsRequired=["EXT_meshopt_compression"])}, "compressed with meshopt"),
    "half a glb": ({"head.glb": glb(WITH_UV)[:9000]}, "shorter than it says"),
    "no json": ({"head.gltf": "{"}, "no glTF file"),
    "half a ply": ({"head.ply": coloured_ply("u1", COLOURS)[:9000]}, "shorter than its header says"),
    "points": (
        {"head.ply": coloured_ply("u1", COLOURS).replace(b"element face 1280", b"element face 0")},
        "no triangles",
    ),
    "a bad header": (
        {"head.ply": b"ply\nformat ascii 1.0\nelement vertex many\nend_header\n"},
        "'element vertex many'",
    ),
    "half an off": ({"head.off": off("OFF", VERTICES)[:9000]}, "shorter than its header says"),
    "a binary off": ({"head.off": "OFF BINARY\n"}, "binary OFF"),
    "decimal commas": ({"head.obj": obj().replace("v ", "v 0,5 ", 1)}, "'0,5 .* should be numbers"),
    "a face of words": ({"head.obj": obj() + "f a b c\n"}, "'f a b c' of the file cannot be read"),
    "missing vertices": ({"head.obj": obj() + "f 1 2 99999\n"}, "name vertices that are not there"),
    "half an stl": ({"head.stl": BALL.export(file_type="stl")[:9000]}, "no STL file"),
    "a buffer elsewhere": (
        {"head.gltf": gltf_in_files()["head.gltf"].replace("data:", "gone/")},
        "buffer gone/.* is not there",
    ),
}


@pytest.mark.parametrize(("files", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, files: Files, reason: str) -> None:
    with pytest.raises(InputError, match=rf"head\.\w+ cannot be used: .*{reason}"):
        read_scan(written(tmp_path, files))

"""glTF 2.0: the meshes of a scene where its nodes put them, with textures, factors and colours of vertices."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.scan_formats.colour_values import TextureError, from_linear, texture_pixels, to_linear
from facerecon_ray.evaluation.scan_formats.gltf_file import GltfFile
from facerecon_ray.evaluation.scan_formats.parts import Part

TRIANGLES, STRIP, FAN = 4, 5, 6
MOST_DEPTH = 100
OLD_MATERIAL, TRANSFORM = "KHR_materials_pbrSpecularGlossiness", "KHR_texture_transform"
OTHER_PICTURES = ("EXT_texture_webp", "EXT_texture_avif")

Json = dict[str, Any]


def read_gltf(path: Path, notes: list[str]) -> list[Part]:
    """The parts of a file; what cannot be read of its colours is added to the notes.

    Raises
    ------
    InputError
        when it is damaged, of another version, or compressed
    """
    try:
        file = GltfFile(path)
        parts = [
            _part(file, primitive, place, notes)
            for mesh, place in _placed(file)
            for primitive in file.items("meshes")[mesh]["primitives"]
            if primitive.get("mode", TRIANGLES) in (TRIANGLES, STRIP, FAN)
        ]
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the file is damaged: what its JSON says is not there ({type(error).__name__})") from None
    return parts or [Part(np.zeros((0, 3)), np.zeros((0, 3), np.int64))]


def _placed(file: GltfFile) -> Iterator[tuple[int, np.ndarray]]:
    """Meshes of the scene and (4, 4) where they are; all meshes as they are when there is no scene."""
    scenes, nodes = file.items("scenes"), file.items("nodes")
    if not scenes:
        yield from ((index, np.eye(4)) for index in range(len(file.items("meshes"))))
        return
    waiting = [(index, np.eye(4), 0) for index in scenes[file.content.get("scene", 0)].get("nodes", ())]
    while waiting:
        index, above, depth = waiting.pop(0)
        node = nodes[index]
        place = above @ _local(node)
        if "mesh" in node:
            # The joints of a skin, not its node, say where a mesh is: at rest that is where its vertices are.
            yield node["mesh"], np.eye(4) if "skin" in node else place
        if depth > MOST_DEPTH:
            raise InputError("the file is damaged: its nodes lie within each other without end")
        waiting += [(child, place, depth + 1) for child in node.get("children", ())]


def _local(node: Json) -> np.ndarray:
    """(4, 4) of a node within the one above."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    place = np.eye(4)
    turn = Rotation.from_quat(node.get("rotation", (0, 0, 0, 1))).as_matrix()
    place[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)), np.float64)
    place[:3, 3] = node.get("translation", (0, 0, 0))
    return place


def _part(file: GltfFile, primitive: Json, place: np.ndarray, notes: list[str]) -> Part:
    attributes = primitive["attributes"]
    points = file.accessor(attributes["POSITION"]).astype(np.float64)
    vertices = points @ place[:3, :3].T + place[:3, 3]
    if "indices" in primitive:
        order = file.accessor(primitive["indices"])[:, 0].astype(np.int64)
    else:
        order = np.arange(len(points))
    triangles = _triangles(order, primitive.get("mode", TRIANGLES))
    material = file.items("materials")[primitive["material"]] if "material" in primitive else {}
    factor, picture = _looks(material)
    shade = None
    if "COLOR_0" in attributes:
        shade = _light(file.accessor(attributes["COLOR_0"])[:, :3])
    if picture is not None:
        uv, texture = _textured(file, picture, attributes, notes)
        if uv is not None and texture is not None:
            if shade is not None and np.ptp(shade) > 0:
                notes.append("its colours of vertices, which lie over a texture, were left out")
            if (factor != 1).any():
                texture = from_linear(to_linear(texture) * factor).round().astype(np.uint8)
            return Part(vertices, triangles, None, uv, (texture,))
        return Part(vertices, triangles, None if shade is None else from_linear(shade * factor))
    if shade is None and "material" not in primitive:
        return Part(vertices, triangles)
    light = np.broadcast_to(factor, vertices.shape) if shade is None else shade * factor
    return Part(vertices, triangles, from_linear(light))


def _triangles(order: np.ndarray, mode: int) -> np.ndarray:
    """(T, 3) vertices of triangles, of a strip or a fan of them; their sides do not matter."""
    if mode == TRIANGLES:
        return order[: len(order) // 3 * 3].reshape(-1, 3)
    if len(order) < 3:
        return np.zeros((0, 3), np.int64)
    first = order[:-2] if mode == STRIP else np.full(len(order) - 2, order[0])
    return np.stack([first, order[1:-1], order[2:]], 1)


def _light(values: np.ndarray) -> np.ndarray:
    """(V, 3) linear light 0 to 1; integers that the file forgot to call normalized are meant so."""
    if values.dtype.kind in "iu":
        return values / float(np.iinfo(values.dtype).max)
    return values.astype(np.float64)


def _looks(material: Json) -> tuple[np.ndarray, Json | None]:
    """(3,) factor in linear light, and the texture of a material's colours, None where there is none."""
    old = material.get("extensions", {}).get(OLD_MATERIAL)
    if old is not None:
        return np.array(old.get("diffuseFactor", (1, 1, 1))[:3], np.float64), old.get("diffuseTexture")
    metal = material.get("pbrMetallicRoughness", {})
    factor, picture = metal.get("baseColorFactor", (1, 1, 1))[:3], metal.get("baseColorTexture")
    if picture is None and "emissiveTexture" in material:
        return np.array(material.get("emissiveFactor", (1, 1, 1)), np.float64), material["emissiveTexture"]
    return np.array(factor, np.float64), picture


def _textured(
    file: GltfFile, picture: Json, attributes: Json, notes: list[str]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(V, 2) places in a texture, v from the top down, and (H, W, 3) the texture; None, and a note, without them."""
    transform = picture.get("extensions", {}).get(TRANSFORM, {})
    name = f"TEXCOORD_{transform.get('texCoord', picture.get('texCoord', 0))}"
    if name not in attributes:
        notes.append("it has a texture, but no places in it")
        return None, None
    uv = file.accessor(attributes[name]).astype(np.float64)
    angle = transform.get("rotation", 0.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    uv = (uv * transform.get("scale", (1, 1))) @ turn.T + transform.get("offset", (0, 0))
    texture = file.items("textures")[picture["index"]]
    sources = [texture.get("extensions", {}).get(name, {}).get("source") for name in OTHER_PICTURES]
    source = next((one for one in (*sources, texture.get("source")) if one is not None), None)
    if source is None:
        notes.append("its texture is of a kind that is not read; save it as JPEG or PNG")
        return None, None
    image = file.items("images")[source]
    data = file.view(image["bufferView"])[0] if "bufferView" in image else file.linked(image["uri"])
    called = image.get("name") or image.get("uri", "")[:60] or "in the file"
    if data is None:
        notes.append(f"its texture {called} is not there")
        return None, None
    try:
        return uv, texture_pixels(data)
    except TextureError as error:
        notes.append(f"its texture {called} cannot be read: {error}")
        return None, None

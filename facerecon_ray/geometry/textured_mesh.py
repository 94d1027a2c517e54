"""Meshes with a texture, and the files that hold them. Frame: y up, the face looks along +z."""

import io
from dataclasses import dataclass
from typing import BinaryIO, Literal, get_args

import cv2
import numpy as np
import trimesh
from trimesh.visual.material import PBRMaterial

MeshFormat = Literal["glb", "obj", "ply"]
FORMATS: tuple[MeshFormat, ...] = get_args(MeshFormat)

MILLIMETRES = 1000.0
OBJ_DIGITS = 4
JPEG_OPTIONS = (cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)


@dataclass(frozen=True)
class TexturedMesh:
    """A surface and its colours.

    vertices   (V, 3) float32 metres
    normals    (V, 3) float32 unit vectors
    triangles  (T, 3) int, counter-clockwise seen from outside
    uv         (V, 2) float32 place in the texture, v from the top down, 0 to 1
    texture    (H, W, 3) uint8 RGB
    """

    vertices: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    texture: np.ndarray

    def encode(self, kind: MeshFormat) -> bytes:
        """Contents of a file.

        glb  metres, with the texture as a picture
        obj  millimetres, with a colour for each vertex; one file without a material file beside it
        ply  millimetres, binary, with a colour for each vertex
        """
        if kind == "glb":
            return self._encode_glb()
        colours = trimesh.visual.ColorVisuals(vertex_colors=self.vertex_colours())
        mesh = self._trimesh(self.vertices * MILLIMETRES, colours)
        if kind == "ply":
            return bytes(trimesh.exchange.ply.export_ply(mesh, vertex_normal=True))
        return str(trimesh.exchange.obj.export_obj(mesh, include_normals=True, digits=OBJ_DIGITS)).encode()

    def vertex_colours(self) -> np.ndarray:
        """(V, 3) uint8 colours of the texture at the vertices."""
        height, width = self.texture.shape[:2]
        # OpenCV puts pixel centres at whole numbers, and its maps may have at most 32767 rows.
        place = (self.uv * (width, height) - 0.5).astype(np.float32).reshape(-1, 1, 2)
        rows = [
            cv2.remap(self.texture, part, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for part in np.array_split(place, len(place) // 32768 + 1)
        ]
        return np.concatenate(rows)[:, 0]

    def _encode_glb(self) -> bytes:
        picture = _Jpeg(self.texture)
        material = PBRMaterial(baseColorTexture=picture, metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True)
        # trimesh counts v from the bottom up.
        upwards = (self.uv * (1, -1) + (0, 1)).astype(np.float32)
        mesh = self._trimesh(self.vertices, trimesh.visual.TextureVisuals(uv=upwards, material=material))
        return bytes(trimesh.exchange.gltf.export_glb(trimesh.Scene(mesh), include_normals=True))

    def _trimesh(self, vertices: np.ndarray, visual: trimesh.visual.base.Visuals) -> trimesh.Trimesh:
        return trimesh.Trimesh(
            vertices, self.triangles, vertex_normals=self.normals, visual=visual, process=False, validate=False
        )


class _Jpeg:
    """A picture that trimesh embeds as it is: with a PIL image the JPEG's quality could not be chosen."""

    format = "JPEG"

    def __init__(self, pixels: np.ndarray) -> None:
        self._data = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), JPEG_OPTIONS)[1].tobytes()

    def save(self, file: BinaryIO | io.BytesIO, format: str) -> None:
        assert format == self.format
        file.write(self._data)

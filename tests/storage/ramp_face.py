"""A face whose colours say where they belong."""

import numpy as np

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.geometry.textured_mesh import TexturedMesh


def ramp_face() -> TexturedMesh:
    """The mean face; red grows to the picture's right, green downwards, blue is 40."""
    model = FaceModel.default()
    layout = UvLayout.of(model)
    vertices = model.mean[layout.vertices]
    normals = vertex_normals(vertices[None], layout.triangles, "model")[0]
    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    texture = np.stack([np.tile(ramp, (256, 1)), np.tile(ramp[:, None], (1, 256)), np.full((256, 256), 40)], -1)
    arrays = (values.numpy() for values in (vertices, normals, layout.triangles, layout.vertex_uv))
    return TexturedMesh(*arrays, texture.astype(np.uint8))

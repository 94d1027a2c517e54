"""Import one mesh file in Blender and write what is there then: python import_in_blender.py FILE OUT.npz

Runs in an environment of its own that has `bpy`.
"""

import sys

import bpy
import numpy as np

AXES = {"forward_axis": "NEGATIVE_Z", "up_axis": "Y", "global_scale": 0.001}


def values(items: object, name: str, width: int, kind: type = np.float32) -> np.ndarray:
    """(len(items), width) values of one attribute."""
    flat = np.zeros(len(items) * width, kind)
    items.foreach_get(name, flat)
    return flat.reshape(-1, width)


path, out = sys.argv[1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
if path.endswith("glb"):
    bpy.ops.import_scene.gltf(filepath=path)
elif path.endswith("obj"):
    bpy.ops.wm.obj_import(filepath=path, **AXES)
else:
    bpy.ops.wm.ply_import(filepath=path, **AXES)
(face,) = (thing for thing in bpy.data.objects if thing.type == "MESH")
mesh = face.data
turn = np.array(face.matrix_world)
found = {
    "repaired": np.array(mesh.validate()),
    "vertices": values(mesh.vertices, "co", 3) @ turn[:3, :3].T + turn[:3, 3],
    "triangles": values(mesh.loops, "vertex_index", 1, np.int32).reshape(-1, 3),
    "materials": np.array([material.name for material in mesh.materials]),
}
if mesh.uv_layers:
    found["uv"] = values(mesh.uv_layers[0].data, "uv", 2)
if mesh.color_attributes:
    found["colours"] = values(mesh.color_attributes[0].data, "color_srgb", 4)
for image in bpy.data.images:
    if image.packed_file:
        found["texture"] = np.array(image.pixels[:], np.float32)
        found["texture_size"] = np.array([image.size[1], image.size[0], image.channels])
np.savez(out, **found)

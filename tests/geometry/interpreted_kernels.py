"""Runs the rasterizer's Triton kernels without a GPU, in a process of its own: Triton is an interpreter or a compiler
from its first import on.

    python interpreted_kernels.py SCENES RESULTS     # draws each scene with Triton's interpreter
    python interpreted_kernels.py CAPABILITY         # compiles for a GPU of that capability and prints what it runs
"""

import os
import re
import sys

if len(sys.argv) == 3:
    os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import torch

from facerecon_ray.geometry import rasterizer_triton as kernels
from facerecon_ray.geometry.rasterizer_torch import NOTHING

WHOLE_MESH, WHOLE_PICTURE = 1 << 14, 1 << 16
"""The interpreter takes as long for a small tile as for a large one."""


def draw(scene: dict) -> tuple[torch.Tensor, ...]:
    """Keys, triangle, barycentric coordinates and depth."""
    tile = scene["tile"] or (WHOLE_MESH, 4, 4, WHOLE_PICTURE)
    kernels.TRIANGLES, kernels.ROWS, kernels.COLUMNS, kernels.PIXELS = tile
    points, triangles = scene["points"], scene["triangles"]
    nearest = torch.full((len(points), *scene["size"]), NOTHING, dtype=torch.int64)
    kernels.draw(nearest, points, triangles, scene["cull_back"])
    return nearest, *kernels.resolve(nearest, points, triangles)


def compiled(capability: int) -> str:
    """Both kernels in PTX, and the machine code's size."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    tensors = {"nearest": "*i64", "points": "*fp32", "triangles": "*i64"}
    tensors |= {"out_triangle": "*i64", "out_barycentric": "*fp32", "out_depth": "*fp32"}
    settings = {"cull_back": True, "rows_at_once": kernels.ROWS, "columns_at_once": kernels.COLUMNS}
    code = []
    for own in (False, True):
        for kernel, per_program in ((kernels._draw, kernels.TRIANGLES), (kernels._resolve, kernels.PIXELS)):
            constants = {**settings, "own": own, "per_program": per_program}
            names = kernel.arg_names
            source = ASTSource(
                fn=kernel,
                signature={name: "constexpr" if name in constants else tensors.get(name, "i32") for name in names},
                constexprs={(names.index(name),): value for name, value in constants.items() if name in names},
            )
            made = triton.compile(
                source, target=GPUTarget("cuda", capability, 32), options={"enable_fp_fusion": False}
            )
            assert made.asm["cubin"]
            code.append(made.asm["ptx"])
    return "\n".join(code)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        with np.errstate(all="ignore"):
            torch.save([draw(scene) for scene in torch.load(sys.argv[1])], sys.argv[2])
    else:
        operations = re.findall(r"^\s*(?:@!?%p\d+ )?([a-z]+\.[a-z0-9_.:]+)", compiled(int(sys.argv[1])), re.MULTILINE)
        sys.stdout.write("\n".join(sorted(set(operations))))

"""Dressed heads as tensors: what all pictures of some people share, on one device.

The people, their skin, hair, clothes and shadows are those of `facerecon synthesize`, made by the same code on CPUs.
Every vertex is bound to the face model's surface beside it, so that a head can be given another shape, with all that
it wears.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.alignment import align
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.model_projection import ModelProjector
from facerecon_ray.synthesis.rendering.head_scene import SKIN, HeadScene
from facerecon_ray.synthesis.rendering.scene_rendering import LitScene

NEIGHBOURS = 4
"""Vertices of the surface that each vertex follows."""

NEAR = 0.001
"""Metres that are added to distances when neighbours are weighed."""

MOST_PARTS = 32

OFFSET, HEIGHT, WIDTH, CUT_OUT, TWO_SIDED = range(5)
"""Columns of `Wardrobe.parts`."""


@dataclass(frozen=True, eq=False)
class Wardrobe:
    """W dressed heads of N vertices and T triangles, filled up with zeros; metres in each head's own frame.

    vertices        (W, N, 3)
    own_normals     (W, N, 3) of vertices that keep theirs, 0 for those that get smooth ones
    welded          (W, N) int64, the vertex whose smooth normal each has: those at one place share it
    triangles       (W, T, 3) int64
    part_of         (W, T) uint8, the triangles' parts
    parts           (W, 32, 5) int64, where a part's texture begins, its height and width, whether it has holes, and
                    whether it is drawn on both sides
    texels          (X, 4) uint8 red, green, blue and alpha of all textures, row by row
    uv              (W, N, 2)
    gloss           (W, N)
    creep           (W, N, 3), reach (W, N), see `LightTransfer`
    visible         (W, N, K) uint8, 255 times the visibility of each direction
    skin            (W, 3), metered (W,), see `LitScene`
    surface         (W, M, 3) the face model's vertices on the head
    neighbours      (W, N, 4) int16 vertices of the surface, and `following` (W, N, 4) how much of each one's way a
                    vertex goes
    shape           (W, S), expression (W, E) of the face model, standard deviations
    scale           (W,), rotation (W, 3, 3), translation (W, 3) from the head's frame to the face model's
    """

    vertices: Tensor
    own_normals: Tensor
    welded: Tensor
    triangles: Tensor
    part_of: Tensor
    parts: Tensor
    texels: Tensor
    uv: Tensor
    gloss: Tensor
    creep: Tensor
    reach: Tensor
    visible: Tensor
    skin: Tensor
    metered: Tensor
    surface: Tensor
    neighbours: Tensor
    following: Tensor
    shape: Tensor
    expression: Tensor
    scale: Tensor
    rotation: Tensor
    translation: Tensor

    def __len__(self) -> int:
        return len(self.vertices)

    def to(self, device: torch.device | str) -> "Wardrobe":
        """Copy on a device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def worn(self, rows: Tensor) -> "Wardrobe":
        """The heads of some rows (B,), with the same textures."""
        chosen = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "texels"}
        return replace(self, **chosen)

    def save(self, path: Path) -> None:
        """Write all of it as one compressed .npz file."""
        arrays: dict[str, Any] = {f.name: _stored(getattr(self, f.name).cpu()) for f in fields(self)}
        np.savez_compressed(path, **arrays)

    @staticmethod
    def load(path: Path, model: FaceModel) -> "Wardrobe":
        """Read what `save` wrote.

        Raises
        ------
        AssetError
            when the file is missing, is no wardrobe, or is for another face model
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                loaded = {f.name: _restored(arrays[f.name]) for f in fields(Wardrobe)}
        except FileNotFoundError:
            raise AssetError(f"wardrobe {path} does not exist") from None
        except (OSError, ValueError, KeyError):
            raise AssetError(f"{path} is no wardrobe (.npz of dressed heads expected)") from None
        sizes = loaded["shape"].shape[1], loaded["expression"].shape[1], loaded["surface"].shape[1]
        if sizes != (model.shape_size, model.expression_size, len(model.mean)):
            raise AssetError(f"wardrobe {path}: it was made for another face model; make it anew")
        return Wardrobe(**loaded)

    @staticmethod
    def of(scenes: Iterable[HeadScene], model: FaceModel) -> "Wardrobe":
        """Take up dressed heads; of scenes that are made one by one, one at a time is kept.

        Parameters
        ----------
        scenes : at least one
        model : of their surfaces, on the CPU
        """
        heads = [_head(LitScene.of(scene)) for scene in scenes]
        surfaces = np.stack([head["surface"] for head in heads])
        known = ModelProjector(model)(surfaces)
        scale, rotation, translation = align(surfaces.astype(np.float64), known.vertices.astype(np.float64))
        starts = np.cumsum([0, *(len(head["texels"]) for head in heads)])
        for head, start in zip(heads, starts[:-1], strict=True):
            head["parts"][:, OFFSET] += start
        stacked = {name: _filled([head[name] for head in heads]) for name in heads[0] if name != "texels"}
        return Wardrobe(
            **stacked,
            texels=torch.from_numpy(np.concatenate([head["texels"] for head in heads])),
            shape=torch.from_numpy(known.shape),
            expression=torch.from_numpy(known.expression),
            scale=torch.from_numpy(scale).float(),
            rotation=torch.from_numpy(rotation).float(),
            translation=torch.from_numpy(translation).float(),
        )


def _head(lit: LitScene) -> dict[str, np.ndarray]:
    """The arrays of one head, by the names of `Wardrobe`."""
    scene, head = lit.scene, lit.head
    part_of = np.repeat(np.arange(len(head.parts)), [part.stop - part.first for part in head.parts])
    distance, nearest = cKDTree(scene.surface).query(lit.vertices, NEIGHBOURS)
    weight = 1.0 / (distance + NEAR) ** 2
    textures = {part.texture.tobytes(): _texels(part.texture) for part in head.parts}
    starts = dict(zip(textures, np.cumsum([0, *map(len, textures.values())]).tolist(), strict=False))
    parts = np.zeros((MOST_PARTS, 5), np.int64)
    parts[:, HEIGHT : WIDTH + 1] = 1
    for row, part in enumerate(head.parts):
        parts[row] = (starts[part.texture.tobytes()], *part.texture.shape[:2], part.cut_out, part.two_sided)
    keeps = np.concatenate([np.full(len(p.vertices), p.normals is not None and p.name != SKIN) for p in scene.parts])
    return {
        "vertices": lit.vertices,
        "own_normals": np.where(keeps[:, None], lit.normals, 0.0).astype(np.float32),
        "welded": _welded([part.vertices for part in scene.parts]),
        "triangles": head.triangles,
        "part_of": part_of.astype(np.uint8),
        "parts": parts,
        "texels": np.concatenate(list(textures.values())),
        "uv": head.uv,
        "gloss": head.gloss,
        "creep": lit.transfer.creep,
        "reach": lit.transfer.reach,
        "visible": np.round(255.0 * lit.transfer.visible.clip(0.0, 1.0)).astype(np.uint8),
        "skin": lit.skin.astype(np.float32),
        "metered": np.float32(lit.metered),
        "surface": scene.surface.astype(np.float32),
        "neighbours": nearest.astype(np.int16),
        "following": (weight / weight.sum(1, keepdims=True)).astype(np.float32),
    }


def _welded(parts: Sequence[np.ndarray]) -> np.ndarray:
    """(N,) for each vertex the first one of its part at the same place."""
    joined, first = [], 0
    for vertices in parts:
        _, firsts, index = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
        joined.append(first + firsts[index.reshape(-1)])
        first += len(vertices)
    return np.concatenate(joined)


def _texels(texture: np.ndarray) -> np.ndarray:
    """(H W, 4) uint8 of a texture with or without alpha."""
    alpha = texture[..., 3:] if texture.shape[2] == 4 else np.full_like(texture[..., :1], 255)
    return np.concatenate([texture[..., :3], alpha], axis=2).reshape(-1, 4)


def _filled(arrays: Sequence[np.ndarray]) -> Tensor:
    """Arrays of one shape but for their length, one below the other; filled up with zeros."""
    shape = np.max([array.shape for array in arrays], axis=0).astype(int)
    stacked = np.zeros((len(arrays), *shape), arrays[0].dtype)
    for row, array in enumerate(arrays):
        place: tuple[int | slice, ...] = (row, *(slice(length) for length in array.shape))
        stacked[place] = array
    return torch.from_numpy(stacked)


def _stored(values: Tensor) -> np.ndarray:
    """As they lie in the file: indices in half the bytes."""
    array = values.numpy()
    return array.astype(np.int32) if array.dtype == np.int64 else array


def _restored(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.int64) if array.dtype == np.int32 else array)

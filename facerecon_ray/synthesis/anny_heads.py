"""Random human heads from anny, a parametric body model on MakeHuman data (code Apache-2.0, data CC0).

anny is needed only to build the face model and to make synthetic subjects; everything else reads arrays.
"""

import re
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from facerecon_ray.errors import AssetError

FACIAL_PARTS = re.compile(r"^([lr]-)?(cheek|chin|ear|eye|eyebrows|forehead|head|mouth|neck|nose|measure-neck)-")
SHAPE_SPREAD = 0.3
ASYMMETRY_SPREAD = 0.08


@dataclass(frozen=True)
class Heads:
    """A batch of heads.

    vertices  (B, V, 3) float32 metres, y up, the face looks along +z
    actions   (B, A) float32 activations of the facial actions, 0 to 1
    """

    vertices: np.ndarray
    actions: np.ndarray


class HeadSampler:
    """Samples adult heads: uniform over gender, age and ancestry, with local shape changes and slight asymmetry.

    Raises
    ------
    AssetError
        when the package anny is not installed
    """

    def __init__(self) -> None:
        try:
            import anny
        except ImportError:
            raise AssetError(
                "making heads needs the packages anny and roma: pip install --no-deps anny==0.6.2 roma==1.8.0"
            ) from None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Fallback to lbs skinning")
            self._model = anny.Anny(
                rig="anny-head", topology="head", local_changes="default", facial_actions="all", phenotypes="all"
            )
        self.triangles: np.ndarray = self._model.get_triangular_faces().numpy().astype(np.int64)
        self.action_names: list[str] = list(self._model.facial_action_labels)
        self._local_names = [name for name in self._model.local_change_labels if FACIAL_PARTS.match(name)]

    def average(self) -> np.ndarray:
        """(V, 3) anny's own default head with a neutral expression, metres."""
        with torch.inference_mode():
            return self._model()["vertices"][0].numpy().astype(np.float32)

    def shapes(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, V, 3) random heads with a neutral expression, metres."""
        return self._vertices(*self._random_shape(count, rng), np.zeros((count, len(self.action_names))))

    def expressive(self, count: int, rng: np.random.Generator) -> Heads:
        """Random heads, each with a few facial actions at random strength."""
        phenotypes, changes = self._random_shape(count, rng)
        actions = self._random_actions(count, rng)
        return Heads(self._vertices(phenotypes, changes, actions), actions.astype(np.float32))

    def action_offsets(self) -> np.ndarray:
        """(A, V, 3) displacement of the default head by each action at full strength, metres."""
        count = len(self.action_names)
        posed = self._vertices({}, {}, np.eye(count))
        return posed - self._vertices({}, {}, np.zeros((1, count)))

    def _random_shape(
        self, count: int, rng: np.random.Generator
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        ancestry = rng.dirichlet((0.7, 0.7, 0.7), count)
        phenotypes = {
            "gender": rng.uniform(0.0, 1.0, count),
            "age": rng.uniform(0.6, 1.0, count),
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

    def _random_actions(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """A few active muscles at a time; left and right mostly together, as faces move."""
        index = {name: i for i, name in enumerate(self.action_names)}
        actions = np.zeros((count, len(index)))
        for name, i in index.items():
            if name.endswith("Right"):
                continue
            active = rng.random(count) < 0.15
            strength = np.where(active, rng.beta(1.5, 2.5, count), 0.0)
            actions[:, i] = strength
            twin = index.get(name[: -len("Left")] + "Right") if name.endswith("Left") else None
            if twin is not None:
                actions[:, twin] = np.clip(strength * rng.normal(1.0, 0.15, count), 0.0, 1.0)
        return actions

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

"""The models that are compared: each turns fitted and turned faces into position maps."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facerecon_ray.config.assets import SHIPPED_WEIGHTS
from facerecon_ray.config.reconstruct import ChainSettings, ReconstructSettings
from facerecon_ray.config.settings import home_expanded
from facerecon_ray.errors import SettingsError
from facerecon_ray.geometry.crop_camera import crop_camera
from facerecon_ray.stages.chain import RECONSTRUCT, ChainPart
from facerecon_ray.stages.second_view import whole_camera
from facerecon_ray.stages.stage import Batch


@dataclass(frozen=True)
class ModelKind:
    """One way to reconstruct.

    method       of the reconstruct stage
    description  for the report
    prepare      what is done to the batch before the reconstruct stage
    """

    method: str
    description: str
    prepare: Callable[[Batch], Batch] = lambda batch: batch

    @property
    def is_network(self) -> bool:
        """Whether it has a weight file."""
        return self.method in SHIPPED_WEIGHTS


def _mean_face(batch: Batch) -> Batch:
    return {**batch, **{name: np.zeros_like(batch[name]) for name in ("shape", "expression")}}


def _crop_twice(batch: Batch) -> Batch:
    pose, camera = (torch.from_numpy(batch[name]) for name in ("pose", "camera"))
    same = whole_camera(crop_camera(pose, camera, batch["crop_transform"])).numpy()
    return {**batch, "rotated": batch["crop"], "rotated_camera": same}


KINDS = {
    "fitted": ModelKind("fitted", "the face model as it is fitted"),
    "mean-face": ModelKind(
        "fitted", "the average face at the fitted pose: what knows nothing of the person", _mean_face
    ),
    "two-view": ModelKind("two-view", "the two-view network on the crop and its rotated view"),
    "two-view-unrotated": ModelKind("two-view", "the two-view network with the crop as both views", _crop_twice),
    "prnet": ModelKind("prnet", "PRNet, the single-image baseline, on the crop alone"),
}


@dataclass(frozen=True)
class ModelSpec:
    """A model by name.

    name     in tables
    kind     key of KINDS
    weights  file, None for what is no network
    """

    name: str
    kind: str
    weights: Path | None = None

    @property
    def checksum(self) -> str:
        """SHA-256 of the weights, "" for models without."""
        return hashlib.sha256(self.weights.read_bytes()).hexdigest() if self.weights else ""


def parse_models(texts: tuple[str, ...]) -> tuple[ModelSpec, ...]:
    """Models from KIND, KIND=WEIGHTS or WEIGHTS, which means two-view; a name that comes twice gets the file's name.

    A network without WEIGHTS has those that come with the package.

    Raises
    ------
    SettingsError
        when there is no such kind, weights are given in vain, or the same model is named twice
    """
    specs: list[ModelSpec] = []
    for text in texts:
        kind, equals, weights = text.strip().partition("=")
        if not equals and kind.endswith(".safetensors"):
            kind, weights = "two-view", kind
        if kind not in KINDS:
            raise SettingsError(f"model {text!r}: choose from {', '.join(KINDS)}, or name a .safetensors file")
        network = KINDS[kind].is_network
        if (weights and not network) or (equals and not weights):
            raise SettingsError(f"model {text!r}: write {f'{kind}=weights.safetensors' if network else kind}")
        path = home_expanded(Path(weights)).absolute() if weights else SHIPPED_WEIGHTS.get(KINDS[kind].method)
        names = [spec.name for spec in specs]
        name = f"{kind} {path.stem}" if kind in names and path and weights else kind
        if name in names:
            raise SettingsError(f"model {text!r} is named twice")
        specs.append(ModelSpec(name, kind, path))
    if not specs:
        raise SettingsError(f"no model is named; choose from {', '.join(KINDS)}")
    return tuple(specs)


class Model:
    """A loaded model.

    Parameters
    ----------
    spec : which
    device : auto, cpu, cuda or cuda:N

    Raises
    ------
    AssetError
        when the weights are missing or of another network
    """

    def __init__(self, spec: ModelSpec, device: str = "auto") -> None:
        self.name = spec.name
        kind = KINDS[spec.kind]
        settings = {"method": kind.method, "weights": spec.weights, "device": device}
        chain = ChainSettings(reconstruct=ReconstructSettings.model_validate(settings))
        self._prepare, self._stage = kind.prepare, ChainPart(chain, RECONSTRUCT, RECONSTRUCT)

    def __call__(self, batch: Batch) -> Batch:
        """The rows with their position maps; a row that fails says so in its status and error."""
        return self._stage(self._prepare(batch))

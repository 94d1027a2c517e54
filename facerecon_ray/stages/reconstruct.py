"""Faces to UV position maps: the fitted face model's, or a network's."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from facerecon_ray.config.reconstruct import ReconstructSettings
from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import MAP_SIZE, UvLayout
from facerecon_ray.networks import prnet, two_view
from facerecon_ray.networks.device import resolve_device
from facerecon_ray.stages.stage import Batch, Column, Stage


class Reconstructor(Stage):
    """Make a position map of each face.

    Input columns   fitted    pose (3,), camera (3,), shape (S,), expression (E,)
                    two-view  crop, rotated : (256, 256, 3) uint8
                    prnet     crop
    Output column   position_map : (256, 256, 3) float16, crop pixels / 256
    """

    name: ClassVar[str] = "reconstruct"

    def __init__(self, settings: ReconstructSettings, face_model: Path | None = None) -> None:
        """Load the method's model.

        Raises
        ------
        AssetError
            when a network has no weights, or a file is missing or of another kind
        """
        self.outputs = {"position_map": Column(np.float16, (MAP_SIZE, MAP_SIZE, 3))}
        device = resolve_device(settings.device)
        self._reconstruct: _Fitted | _Regressed
        if settings.method == "fitted":
            self._reconstruct = _Fitted(face_model, device)
        elif settings.weights is None:
            raise AssetError(
                f"the {settings.method} method needs weights; set reconstruct.weights to a .safetensors file"
            )
        elif settings.method == "prnet":
            self._reconstruct = _Regressed(prnet.load_weights(settings.weights), ("crop",), device)
        else:
            self._reconstruct = _Regressed(two_view.load_weights(settings.weights), ("crop", "rotated"), device)

    @torch.inference_mode()
    def process(self, batch: Batch) -> Batch:
        """Reconstruct the faces of a batch."""
        return {"position_map": self._reconstruct(batch).half().cpu().numpy()}


class _Fitted:
    """Evaluates the fitted model and draws it into the UV square."""

    def __init__(self, face_model: Path | None, device: torch.device) -> None:
        model = FaceModel.open(face_model)
        self._layout = UvLayout.of(model).to(device)
        self._model = model.to(device)

    def __call__(self, batch: Batch) -> Tensor:
        device = self._model.mean.device
        names = ("pose", "camera", "shape", "expression")
        pose, camera, shape, expression = (torch.from_numpy(batch[name]).to(device) for name in names)
        vertices = self._model.vertices(shape, expression)
        return self._layout.position_map(Camera.from_row(pose, camera).project(vertices))


class _Regressed:
    """Runs a network on pictures of a face, side by side as channels."""

    def __init__(self, network: nn.Module, pictures: tuple[str, ...], device: torch.device) -> None:
        self._network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._pictures, self._device = pictures, device

    def __call__(self, batch: Batch) -> Tensor:
        views = np.concatenate([batch[name] for name in self._pictures], -1)
        # Channels are the last axis in memory already, which is what channels_last means.
        pictures = torch.from_numpy(views).to(self._device).permute(0, 3, 1, 2)
        maps: Tensor = self._network(pictures.float() / 255)
        return maps.permute(0, 2, 3, 1)

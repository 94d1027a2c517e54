"""Faces to UV position maps: the fitted face model's, or a network's."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from facerecon_ray.config.assets import PRNET_WEIGHTS, TWO_VIEW_WEIGHTS
from facerecon_ray.config.reconstruct import ReconstructSettings
from facerecon_ray.geometry.crop_camera import crop_camera
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitted_views import FittedViews
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import MAP_SIZE, UvLayout
from facerecon_ray.networks import prnet, two_view
from facerecon_ray.networks.device import resolve_device
from facerecon_ray.stages.chain import RECONSTRUCT
from facerecon_ray.stages.second_view import camera_of
from facerecon_ray.stages.stage import ROWS_AT_ONCE_ON_CPU, Batch, Column, Stage
from facerecon_ray.stages.two_photos.side import SIDE


class Reconstructor(Stage):
    """Make a position map of each face.

    Input columns   fitted    pose (3,), camera (6,), crop_transform (2, 3), shape (S,), expression (E,)
                    two-view  crop, rotated : (256, 256, 3) uint8; if it corrects the fit, also those of fitted,
                              rotated_camera and, where `rotated` is another photo, side_expression
                    prnet     crop
    Output column   position_map : (256, 256, 3) float16, crop pixels / 256
    """

    name: ClassVar[str] = RECONSTRUCT.name

    def __init__(self, settings: ReconstructSettings, face_model: FaceModel | Path | None = None) -> None:
        """Load the method's model.

        Parameters
        ----------
        settings : the method, its weights, where it runs
        face_model : that was fitted; without one, the embedded model

        Raises
        ------
        AssetError
            when weights are missing, or a file is of another kind
        """
        self.outputs = {"position_map": Column(np.float16, (MAP_SIZE, MAP_SIZE, 3))}
        device = resolve_device(settings.device)
        self.rows_at_once = ROWS_AT_ONCE_ON_CPU if device.type == "cpu" else None
        self._reconstruct: _Fitted | _Regressed | _Corrected
        if settings.method == "fitted":
            self._reconstruct = _Fitted(face_model, device)
        elif settings.method == "prnet":
            network: nn.Module = prnet.load_weights(settings.weights or PRNET_WEIGHTS)
            self._reconstruct = _Regressed(network, ("crop",), device)
        else:
            weights = settings.weights or TWO_VIEW_WEIGHTS
            regressed = _Regressed(two_view.load_weights(weights), ("crop", "rotated"), device)
            corrects = two_view.corrects_fit(weights)
            fitted = _Fitted(face_model, device) if corrects else None
            self._reconstruct = _Corrected(fitted, regressed) if fitted else regressed

    @torch.inference_mode()
    def process(self, batch: Batch) -> Batch:
        """Reconstruct the faces of a batch."""
        return {"position_map": self._reconstruct(batch).half().cpu().numpy()}


class _Fitted:
    """Evaluates the fitted model and draws it into the UV square."""

    def __init__(self, face_model: FaceModel | Path | None, device: torch.device) -> None:
        model = FaceModel.open(face_model)
        self.layout = UvLayout.of(model).to(device)
        self.model = model.to(device)

    def camera(self, batch: Batch) -> Camera:
        """Of the crops."""
        pose, camera = self._tensors(batch, "pose", "camera")
        return crop_camera(pose, camera, batch["crop_transform"])

    def heads(self, batch: Batch, expression: str = "expression") -> Tensor:
        """(B, N, 3) vertices of the fitted heads, metres, with the expressions of a column.

        Each is worked out alone: together the last bits of one would be those of its neighbours in the batch, and
        `facerecon export` could not make the same mesh again.
        """
        alone = zip(*(column[:, None] for column in self._tensors(batch, "shape", expression)), strict=True)
        return torch.cat([self.model.vertices(*coefficients) for coefficients in alone])

    def second_camera(self, batch: Batch) -> Camera:
        """Of the second views."""
        return camera_of(*self._tensors(batch, "rotated_camera"))

    def _tensors(self, batch: Batch, *names: str) -> list[Tensor]:
        return [torch.from_numpy(batch[name]).to(self.model.mean.device) for name in names]

    def __call__(self, batch: Batch) -> Tensor:
        """(B, 256, 256, 3) position maps."""
        return self.layout.position_map(self.camera(batch).project(self.heads(batch)))


class _Regressed:
    """Runs a network on pictures of a face, side by side as channels."""

    def __init__(self, network: nn.Module, pictures: tuple[str, ...], device: torch.device) -> None:
        self._network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._pictures, self._device = pictures, device

    def views(self, batch: Batch) -> Tensor:
        """(B, 3 times pictures, 256, 256) in [0, 1]."""
        views = np.concatenate([batch[name] for name in self._pictures], -1)
        # Channels are the last axis in memory already, which is what channels_last means.
        return torch.from_numpy(views).to(self._device).permute(0, 3, 1, 2).float() / 255

    def output(self, seen: Tensor) -> Tensor:
        """(B, 3, 256, 256) of the network."""
        maps: Tensor = self._network(seen.contiguous(memory_format=torch.channels_last))
        return maps

    def __call__(self, batch: Batch) -> Tensor:
        """(B, 256, 256, 3) position maps."""
        return self.output(self.views(batch)).permute(0, 2, 3, 1)


class _Corrected:
    """Shows a network the pictures as the fitted face lays them out, and corrects its position map."""

    def __init__(self, fitted: _Fitted, regressed: _Regressed) -> None:
        self._fitted, self._regressed = fitted, regressed
        self._lay_out = FittedViews(fitted.layout)

    def __call__(self, batch: Batch) -> Tensor:
        """(B, 256, 256, 3) position maps."""
        head = self._fitted.heads(batch)
        of_side = f"{SIDE}expression"
        second_head = self._fitted.heads(batch, of_side) if of_side in batch else head
        first, second = (self._fitted.camera(batch), head), (self._fitted.second_camera(batch), second_head)
        maps, seen = self._lay_out(self._regressed.views(batch), first, second)
        return two_view.corrected(maps, self._regressed.output(seen)).permute(0, 2, 3, 1)

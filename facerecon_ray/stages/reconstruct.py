"""Faces to UV position maps: the fitted face model's, or a network's."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from facerecon_ray.config.assets import PRNET_WEIGHTS, TWO_VIEW_WEIGHTS
from facerecon_ray.config.reconstruct import ReconstructSettings, RotateSettings
from facerecon_ray.geometry.crop_camera import crop_camera
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitted_views import FittedViews
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import MAP_SIZE, UvLayout
from facerecon_ray.networks import prnet, two_view
from facerecon_ray.networks.device import resolve_device
from facerecon_ray.stages.stage import Batch, Column, Stage
from facerecon_ray.stages.two_photos.side import side_of


class Reconstructor(Stage):
    """Make a position map of each face.

    Input columns   fitted    pose (3,), camera (6,), crop_transform (2, 3), shape (S,), expression (E,)
                    two-view  crop, rotated : (256, 256, 3) uint8; also those of fitted, if it corrects the fit, and
                              where `rotated` is another photo, side_pose, side_camera, side_crop_transform and
                              side_expression
                    prnet     crop
    Output column   position_map : (256, 256, 3) float16, crop pixels / 256
    """

    name: ClassVar[str] = "reconstruct"

    def __init__(
        self, settings: ReconstructSettings, face_model: Path | None = None, rotate: RotateSettings | None = None
    ) -> None:
        """Load the method's model.

        Parameters
        ----------
        settings : the method, its weights, where it runs
        face_model : that was fitted; without one, the embedded model
        rotate : how the rotate stage turned the faces; without it, as it does by default

        Raises
        ------
        AssetError
            when weights are missing, or a file is of another kind
        """
        self.outputs = {"position_map": Column(np.float16, (MAP_SIZE, MAP_SIZE, 3))}
        device = resolve_device(settings.device)
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
            self._reconstruct = _Corrected(fitted, regressed, rotate or RotateSettings()) if fitted else regressed

    @torch.inference_mode()
    def process(self, batch: Batch) -> Batch:
        """Reconstruct the faces of a batch."""
        return {"position_map": self._reconstruct(batch).half().cpu().numpy()}


class _Fitted:
    """Evaluates the fitted model and draws it into the UV square."""

    def __init__(self, face_model: Path | None, device: torch.device) -> None:
        model = FaceModel.open(face_model)
        self.layout = UvLayout.of(model).to(device)
        self.model = model.to(device)

    def heads(self, batch: Batch) -> tuple[Camera, Tensor]:
        """Cameras of the fitted heads, and their vertices (B, N, 3) in metres.

        Each is worked out alone: together the last bits of one would be those of its neighbours in the batch, and
        `facerecon export` could not make the same mesh again.
        """
        device = self.model.mean.device
        names = ("pose", "camera", "shape", "expression")
        pose, camera, shape, expression = (torch.from_numpy(batch[name]).to(device) for name in names)
        alone = zip(shape[:, None], expression[:, None], strict=True)
        vertices = torch.cat([self.model.vertices(*coefficients) for coefficients in alone])
        return crop_camera(pose, camera, batch["crop_transform"]), vertices

    def __call__(self, batch: Batch) -> Tensor:
        """(B, 256, 256, 3) position maps."""
        camera, vertices = self.heads(batch)
        return self.layout.position_map(camera.project(vertices))


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

    def __init__(self, fitted: _Fitted, regressed: _Regressed, rotate: RotateSettings) -> None:
        self._fitted, self._regressed = fitted, regressed
        self._lay_out = FittedViews(fitted.model, fitted.layout, rotate.yaw_change, rotate.keep_pitch)

    def __call__(self, batch: Batch) -> Tensor:
        """(B, 256, 256, 3) position maps."""
        side = side_of(batch)
        other = self._fitted.heads({**side, "shape": batch["shape"]}) if side else None
        maps, seen = self._lay_out(self._regressed.views(batch), *self._fitted.heads(batch), other)
        return two_view.corrected(maps, self._regressed.output(seen)).permute(0, 2, 3, 1)

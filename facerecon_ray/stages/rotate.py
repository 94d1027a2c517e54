"""Make the second view: turn the fitted head, render it with the photo's own texture, fill and repair that."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.config.assets import ROTATOR_WEIGHTS
from facerecon_ray.config.reconstruct import RotateSettings
from facerecon_ray.geometry.crop_camera import crop_camera
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.turned_view import TurnedView, target_angles, turn_view
from facerecon_ray.geometry.view_filling import fill_view
from facerecon_ray.networks.device import resolve_device
from facerecon_ray.networks.view_generator import load_weights
from facerecon_ray.stages.chain import ROTATE
from facerecon_ray.stages.photo_cover import shown_bounds
from facerecon_ray.stages.second_view import second_view_outputs, whole_camera
from facerecon_ray.stages.stage import ROWS_AT_ONCE_ON_CPU, Batch, Column, Stage


class Rotator(Stage):
    """Turn, render, fill and repair.

    Input columns    crop, crop_transform, photo_width, photo_height, pose, camera, shape, expression
    Output columns   rotated        (256, 256, 3) the turned face
                     rotated_camera (9,) that sees it, see `whole_camera`
                     rotated_yaw    its yaw, degrees
                     visible_share  share of the turned face's pixels that the photo saw, 0 to 1
    With masks       rotated_seen   (256, 256) uint8, 255 times how well the photo saw each of its pixels
                     rotated_head   (256, 256) uint8, 255 where the head is
    """

    name: ClassVar[str] = ROTATE.name

    def __init__(
        self, settings: RotateSettings, face_model: FaceModel | Path | None = None, masks: bool = False
    ) -> None:
        """Load the face model, and the generator where the settings ask for it.

        Raises
        ------
        AssetError
            when a file is missing or of another kind
        """
        self._settings, self._masks = settings, masks
        self._device = resolve_device(settings.device)
        self.rows_at_once = ROWS_AT_ONCE_ON_CPU if self._device.type == "cpu" else None
        model = FaceModel.open(face_model)
        self._model = model.to(self._device)
        repairs = settings.repair == "network"
        self._generator = load_weights(settings.weights or ROTATOR_WEIGHTS) if repairs else None
        if self._generator is not None:
            self._generator.to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.outputs = second_view_outputs()
        if masks:
            mask = Column(np.uint8, (CROP_SIZE, CROP_SIZE))
            self.outputs |= {"rotated_seen": mask, "rotated_head": mask}

    @torch.inference_mode()
    def process(self, batch: Batch) -> Batch:
        """Turn the faces of a batch."""
        photos = torch.from_numpy(batch["crop"]).to(self._device).permute(0, 3, 1, 2).float()
        names = ("pose", "camera", "shape", "expression")
        pose, row, shape, expression = (torch.from_numpy(batch[name]).to(self._device) for name in names)
        camera, vertices = crop_camera(pose, row, batch["crop_transform"]), self._model.vertices(shape, expression)
        angles = target_angles(camera.angles, self._settings.yaw_change, self._settings.keep_pitch)
        view = turn_view(self._model, photos, vertices, camera, angles, shown_bounds(batch).to(self._device))
        rotated = fill_view(view, photos)
        if self._generator is not None:
            rotated = self._repaired(rotated, view)
        visible = (view.seen * view.face).sum((1, 2, 3)) / view.face.sum((1, 2, 3)).clamp(min=1)
        columns = {
            "rotated": rotated.round().clamp(0, 255).byte().permute(0, 2, 3, 1),
            "rotated_camera": whole_camera(view.camera),
            "rotated_yaw": angles[:, 0],
            "visible_share": visible,
        }
        if self._masks:
            columns["rotated_seen"] = (255 * view.seen[:, 0]).round().byte()
            columns["rotated_head"] = 255 * view.head[:, 0].byte()
        return {name: column.cpu().numpy() for name, column in columns.items()}

    def _repaired(self, filled: Tensor, view: TurnedView) -> Tensor:
        """(B, 3, 256, 256) 0 to 255, what the generator makes of a filled view."""
        assert self._generator is not None
        seen = torch.cat([filled / 255, view.seen, view.head.float()], 1)
        repaired: Tensor = self._generator(seen.contiguous(memory_format=torch.channels_last))
        return repaired * 255

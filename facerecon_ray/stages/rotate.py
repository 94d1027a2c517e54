"""Make the second view: fit the face model, turn the head, render it with the photo's own texture, repair that."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.config.assets import ROTATOR_WEIGHTS
from facerecon_ray.config.reconstruct import RotateSettings
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import Fit
from facerecon_ray.geometry.turned_view import TurnedView, target_angles, turn_view
from facerecon_ray.geometry.view_filling import fill_view
from facerecon_ray.networks.device import resolve_device
from facerecon_ray.networks.view_generator import load_weights
from facerecon_ray.stages.face_fitting import FaceFitting, fit_columns, fit_outputs
from facerecon_ray.stages.fit_trust import trust
from facerecon_ray.stages.person_evidence import PersonEvidence
from facerecon_ray.stages.photo_cover import shown_bounds
from facerecon_ray.stages.stage import REASON, Batch, Column, Stage


class Rotator(Stage):
    """Fit, turn, render, fill and repair; without a view, fit alone.

    Input columns    crop, crop_transform, photo_width, photo_height, focal_length, landmarks (photo pixels)
    Output columns   landmarks, pose, camera, shape, expression, fit_error    see `fit_columns`
                     quality        0 to 1, see `fit_trust`; a face whose fit is refused there fails
    With a view      rotated        (256, 256, 3) the turned face
                     rotated_yaw    its yaw, degrees
                     visible_share  share of the turned face's pixels that the photo saw, 0 to 1
    With masks       rotated_seen   (256, 256) uint8, 255 times how well the photo saw each of its pixels
                     rotated_head   (256, 256) uint8, 255 where the head is
    With people      descriptor, shape_information    see `PersonEvidence`
    """

    name: ClassVar[str] = "rotate"
    refines: ClassVar[tuple[str, ...]] = ("landmarks",)

    def __init__(
        self,
        settings: RotateSettings,
        face_model: FaceModel | Path | None = None,
        fitter: Path | None = None,
        masks: bool = False,
        people: bool = False,
        view: bool = True,
    ) -> None:
        """Load the face model, and the fitter and the generator where they are asked for.

        Raises
        ------
        AssetError
            when a file is missing, of another kind, or the fitter's is for another face model
        """
        self._settings, self._masks, self._makes_view = settings, masks, view or masks
        self._device = resolve_device(settings.device)
        model = face_model if isinstance(face_model, FaceModel) else FaceModel.open(face_model)
        self._model = model.to(self._device)
        self._fit = FaceFitting(settings, self._model, fitter)
        repairs = self._makes_view and settings.repair == "network"
        self._generator = load_weights(settings.weights or ROTATOR_WEIGHTS) if repairs else None
        if self._generator is not None:
            self._generator.to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.outputs = {**fit_outputs(self._model), "quality": Column(np.float32)}
        if self._makes_view:
            self.outputs |= {
                "rotated": Column(np.uint8, (CROP_SIZE, CROP_SIZE, 3)),
                "rotated_yaw": Column(np.float32),
                "visible_share": Column(np.float32),
            }
        if masks:
            mask = Column(np.uint8, (CROP_SIZE, CROP_SIZE))
            self.outputs |= {"rotated_seen": mask, "rotated_head": mask}
        self._evidence = PersonEvidence(self._model) if people else None
        if self._evidence is not None:
            self.outputs |= self._evidence.outputs

    @torch.inference_mode()
    def process(self, batch: Batch) -> Batch:
        """Fit and turn the faces of a batch."""
        photos = torch.from_numpy(batch["crop"]).to(self._device).permute(0, 3, 1, 2).float()
        fitted = self._fit(photos, batch)
        fit, trusted = fitted.fit, trust(fitted.fit, batch, fitted.found)
        columns = fit_columns(fit, batch["crop_transform"])
        if self._makes_view:
            columns |= self._view(photos, fit, batch)
        if self._evidence is not None:
            columns |= self._evidence(photos, fitted)
        arrays = {name: column.cpu().numpy() for name, column in columns.items()}
        return {**arrays, "quality": trusted.quality, REASON: trusted.reasons}

    def _view(self, photos: Tensor, fit: Fit, batch: Batch) -> dict[str, Tensor]:
        """Columns of the turned faces."""
        vertices = self._model.vertices(fit.shape, fit.expression)
        angles = target_angles(fit.camera.angles, self._settings.yaw_change, self._settings.keep_pitch)
        view = turn_view(self._model, photos, vertices, fit.camera, angles, shown_bounds(batch).to(self._device))
        rotated = fill_view(view, photos)
        if self._generator is not None:
            rotated = self._repaired(rotated, view)
        visible = (view.seen * view.face).sum((1, 2, 3)) / view.face.sum((1, 2, 3)).clamp(min=1)
        columns = {
            "rotated": rotated.round().clamp(0, 255).byte().permute(0, 2, 3, 1),
            "rotated_yaw": angles[:, 0],
            "visible_share": visible,
        }
        if self._masks:
            columns["rotated_seen"] = (255 * view.seen[:, 0]).round().byte()
            columns["rotated_head"] = 255 * view.head[:, 0].byte()
        return columns

    def _repaired(self, filled: Tensor, view: TurnedView) -> Tensor:
        """(B, 3, 256, 256) 0 to 255, what the generator makes of a filled view."""
        assert self._generator is not None
        seen = torch.cat([filled / 255, view.seen, view.head.float()], 1)
        repaired: Tensor = self._generator(seen.contiguous(memory_format=torch.channels_last))
        return repaired * 255

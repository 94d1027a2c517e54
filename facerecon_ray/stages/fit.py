"""Fit the face model to crops: pose, camera and coefficients of every face, and whether they can be trusted."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from facerecon_ray.config.reconstruct import FitSettings
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.device import resolve_device
from facerecon_ray.stages.chain import FIT
from facerecon_ray.stages.face_fitting import FaceFitting, fit_columns, fit_outputs
from facerecon_ray.stages.fit_trust import trust
from facerecon_ray.stages.person_evidence import PersonEvidence
from facerecon_ray.stages.stage import REASON, Batch, Column, Stage


class Fitter(Stage):
    """Fit one photo's faces.

    Input columns    crop, crop_transform, photo_width, photo_height, focal_length, landmarks (photo pixels)
    Output columns   landmarks, pose, camera, shape, expression, fit_error    see `fit_columns`
                     quality    0 to 1, see `fit_trust`; a face whose fit is refused there fails
    With people      descriptor, shape_information    see `PersonEvidence`
    """

    name: ClassVar[str] = FIT.name
    refines: ClassVar[tuple[str, ...]] = ("landmarks",)

    def __init__(
        self,
        settings: FitSettings,
        face_model: FaceModel | Path | None = None,
        fitter: Path | None = None,
        people: bool = False,
    ) -> None:
        """Load the face model, and the fitter's network where the settings ask for it.

        Raises
        ------
        AssetError
            when a file is missing, of another kind, or the fitter's is for another face model
        """
        self._device = resolve_device(settings.device)
        self._model = FaceModel.open(face_model).to(self._device)
        self._fit = FaceFitting(settings, self._model, fitter)
        self.outputs = {**fit_outputs(self._model), "quality": Column(np.float32)}
        self._evidence = PersonEvidence(self._model) if people else None
        if self._evidence is not None:
            self.outputs |= self._evidence.outputs

    @torch.inference_mode()
    def process(self, batch: Batch) -> Batch:
        """Fit the faces of a batch."""
        photos = torch.from_numpy(batch["crop"]).to(self._device).permute(0, 3, 1, 2).float()
        fitted = self._fit(photos, batch)
        trusted = trust(fitted.fit, batch, fitted.found)
        columns = fit_columns(fitted.fit, batch["crop_transform"])
        if self._evidence is not None:
            columns |= self._evidence(photos, fitted)
        arrays = {name: column.cpu().numpy() for name, column in columns.items()}
        return {**arrays, "quality": trusted.quality, REASON: trusted.reasons}

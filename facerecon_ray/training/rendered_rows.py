"""Training rows that are rendered where they are learnt from, with the second views that the job's stages make
of them: what `facerecon synthesize` writes into shards, for every network."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.config.reconstruct import ChainSettings, FitSettings, RotateSettings
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.turned_view import followed_angles
from facerecon_ray.stages.chain import FIT, ROTATE, ChainPart
from facerecon_ray.stages.stage import OK, Batch
from facerecon_ray.synthesis.batched.photographer import BatchedPhotographer
from facerecon_ray.synthesis.batched.surroundings import Surroundings
from facerecon_ray.synthesis.batched.views import ViewBatch
from facerecon_ray.synthesis.batched.wardrobe import Wardrobe
from facerecon_ray.training.batch_tensors import on_device

FITTED = ("fitted_pose", "fitted_camera", "fitted_shape", "fitted_expression")
SECOND = ("rotated", "rotated_seen", "rotated_head", *FITTED)
"""Columns that fitting and rotating give."""


class RenderedRows:
    """Renders batches of training rows.

    Parameters
    ----------
    wardrobe, surroundings, model : see `BatchedPhotographer`; all on one device
    columns : that are made, of `photographer.COLUMNS`, `SECOND` and true_rotated
    size : of the pictures that are drawn, pixels
    rotate : how second views are made
    fit : how faces are fitted for them; fits to landmarks are to the true ones

    Raises
    ------
    SettingsError
        when a column is wanted that cannot be made
    """

    def __init__(
        self,
        wardrobe: Wardrobe,
        surroundings: Surroundings,
        model: FaceModel,
        columns: Sequence[str],
        size: int,
        rotate: RotateSettings | None = None,
        fit: FitSettings | None = None,
    ) -> None:
        second = {*columns} & {*SECOND, "true_rotated"}
        own = [name for name in columns if name not in second]
        self._columns, self._device = tuple(columns), model.mean.device
        self._true_views = "true_rotated" in second
        if second:
            own += [name for name in ("crop", "pose", "landmarks_3d") if name not in own]
        self._photographer = BatchedPhotographer(wardrobe, surroundings, model, tuple(own), size)
        device = {"device": str(self._device)}
        self._settings = (rotate or RotateSettings()).model_copy(update=device)
        chain = ChainSettings(fit=(fit or FitSettings()).model_copy(update=device), rotate=self._settings)
        self._rotate = ChainPart(chain, FIT, ROTATE, asked=SECOND, model=model) if second else None

    def __call__(self, views: ViewBatch) -> dict[str, Tensor]:
        """One row for each view; rows whose fit is refused have zeros in what follows from it."""
        sitting = self._photographer.sitting(views)
        rows = sitting.rows()
        if self._rotate is not None:
            fitted = self._rotate(_cropped(rows["crop"], rows["landmarks_3d"]))
            rows |= on_device({name: fitted[name.removeprefix("fitted_")] for name in SECOND}, self._device)
            if self._true_views:
                step = np.where(fitted["status"] == OK, fitted["rotated_yaw"] - fitted["pose"][:, 0], np.nan)
                turn = torch.from_numpy(step).to(rows["pose"])
                change = self._settings.yaw_change, self._settings.keep_pitch
                rows["true_rotated"] = sitting.turned(followed_angles(rows["pose"], turn, *change))
        return {name: rows[name] for name in self._columns}


def _cropped(crops: Tensor, landmarks: Tensor) -> Batch:
    """What is fitted of photos, of crops (B, 3, 256, 256) that are photos of their own, and of their
    landmarks (B, 68, 3)."""
    count = len(crops)
    return {
        "crop": np.ascontiguousarray(crops.permute(0, 2, 3, 1).cpu().numpy()),
        "crop_transform": np.tile(np.eye(2, 3), (count, 1, 1)),
        "photo_width": np.full(count, CROP_SIZE, np.int32),
        "photo_height": np.full(count, CROP_SIZE, np.int32),
        "focal_length": np.zeros(count, np.float32),
        "landmarks": landmarks[..., :2].cpu().numpy(),
        "status": np.full(count, OK, object),
        "error": np.full(count, "", object),
    }

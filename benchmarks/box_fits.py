"""Fits of boxes in photos, as the crop and fit stages make them, with what tells of their errors."""

import numpy as np
import torch

from facerecon_ray.config.reconstruct import FitSettings
from facerecon_ray.geometry.crop_transform import crop_transform, cut_crop
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.stages.face_fitting import FaceFitting
from facerecon_ray.stages.fit_trust import signs_of
from facerecon_ray.stages.network_fitting import NetworkFitter, NetworkLandmarks

Row = dict[str, np.ndarray]

PLACES = "places"


class BoxFits:
    """Crops of boxes, and their fits."""

    def __init__(self) -> None:
        model = FaceModel.default()
        self._landmarks = NetworkLandmarks(NetworkFitter(None, model))
        self._by_network = FaceFitting(FitSettings(method="network", device="cpu"), model)
        self._by_landmarks = FaceFitting(FitSettings(method="landmarks", device="cpu"), model)

    def crop(self, photo: np.ndarray, boxes: np.ndarray, rolls: np.ndarray | float = 0.0) -> Row:
        """The crop stage's columns for boxes (B, 4) of the HOG detector's kind, rolled by rolls (B,)."""
        rolls = np.broadcast_to(rolls, len(boxes))
        marks, rolls = self._landmarks.predict_all(photo, boxes, rolls)
        transforms = crop_transform(marks, rolls)
        height, width = photo.shape[:2]
        return {
            "crop": np.stack([cut_crop(photo, transform) for transform in transforms]),
            "crop_transform": transforms,
            "landmarks": marks,
            "photo_width": np.full(len(boxes), width),
            "photo_height": np.full(len(boxes), height),
            "focal_length": np.zeros(len(boxes)),
        }

    def fit(self, batch: Row, by_landmarks: bool = False) -> Row:
        """Signs of the rows' fits, (B,) each, and the fitted landmarks' places (B, 68, 2) in crop pixels."""
        fitting = self._by_landmarks if by_landmarks else self._by_network
        found = fitting(torch.from_numpy(batch["crop"]).permute(0, 3, 1, 2).float(), batch)
        return {**signs_of(found.fit, batch, found.found), PLACES: found.fit.landmarks[..., :2].double().numpy()}


def joined(parts: list[Row]) -> Row:
    """Rows of some tables, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

"""How networks that regress position maps learn: the two-view network, with or without the fit, and PRNet."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from facerecon_ray.config.training import PositionMapTraining, TwoViewTraining
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import REGIONS, FaceModel
from facerecon_ray.geometry.fitted_views import FittedViews
from facerecon_ray.geometry.fitting import box_size
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import MAP_SIZE, UvLayout
from facerecon_ray.geometry.turned_view import second_camera
from facerecon_ray.networks.prnet import PRNet
from facerecon_ray.networks.two_view import FIT, TwoViewNetwork, corrected
from facerecon_ray.report.training_pictures import position_maps_picture
from facerecon_ray.training.recipes.augmentation import photographed
from facerecon_ray.training.recipes.recipe import Recipe, Tensors

LOSS_SCALE = 1000.0
"""Position maps are shares of the crop: their squared errors are small numbers."""

LANDMARK_WEIGHT, INNER_WEIGHT, FACE_WEIGHT = 16.0, 4.0, 3.0
"""Weights of PRNet's mask (Feng et al. 2018): landmarks; eyes, nose and mouth; the rest of the face. Outside: 0."""
INNER_REGIONS = ("nose", "lips", "mouth", "right_eye", "left_eye")


class PositionMapRecipe(Recipe):
    """Mean squared error of the position map, as published; figures are distances over the landmarks' box size."""

    columns: ClassVar[tuple[str, ...]] = ("crop", "position_map", "pose", "landmarks_3d")
    goal: ClassVar[str] = "nme"

    def __init__(self, settings: PositionMapTraining, device: torch.device) -> None:
        self._settings, self._device = settings, device
        two_view = isinstance(settings, TwoViewTraining)
        self._views = ("crop", "rotated") if two_view else ("crop",)
        self.result = "two-view" if two_view else "prnet"  # type: ignore[misc]
        self.columns = columns(settings)  # type: ignore[misc]
        model = FaceModel.open(settings.face_model)
        self._layout = UvLayout.of(model).to(device)
        self._weight = map_weights(model, settings.losses.mask).to(device)
        self._fitted: FittedViews | None = None
        if isinstance(settings, TwoViewTraining) and settings.fit:
            self._fitted = FittedViews(self._layout)
            self._model, self._rotate = model.to(device), settings.rotate
        self.modules = {self.result: TwoViewNetwork(self._fitted is not None) if two_view else PRNet()}

    @property
    def metadata(self) -> dict[str, str]:
        return {FIT: "true"} if self._fitted else {}

    def losses(
        self, modules: Mapping[str, nn.Module], batch: Tensors, random: torch.Generator
    ) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Weighted mean squared error of the map; rows without a rotated view do not count."""
        views = torch.stack([batch[name].float() / 255 for name in self._views], 1)
        views = photographed(views, self._settings.augmentation, random)
        maps = self._maps(modules[self.result], views.flatten(1, 2), batch)
        known = self._known(batch)[:, None, None, None]
        difference = torch.where(known, maps.float() - batch["position_map"].float(), 0.0)
        error = (difference.square() * self._weight).sum() / (3 * self._weight.sum() * known.sum().clamp(min=1))
        yield self.result, {"map": LOSS_SCALE * error}

    @torch.inference_mode()
    def figures(self, network: nn.Module, batch: Tensors) -> dict[str, Tensor]:
        """Errors of each row.

        nme@      mean distance over the face, in three dimensions and without alignment, share of the box size
        nme_2d    the same in the picture alone
        nme_fit@  nme of the fitted face, which a network with a fit corrects
        """
        maps = self._maps(network, self._plain(batch), batch)
        nme = self._error(maps, batch, 3)
        figures = {"nme": nme, "nme@": nme, "nme_2d": self._error(maps, batch, 2)}
        if self._fitted:
            figures["nme_fit"] = figures["nme_fit@"] = self._error(self._seen(self._plain(batch), batch)[0], batch, 3)
        return figures

    @torch.inference_mode()
    def picture(self, network: nn.Module, batch: Tensors) -> np.ndarray:
        """Views, predicted and true mesh on the crop, and the error over the UV square."""
        maps = self._maps(network, self._plain(batch), batch).permute(0, 2, 3, 1).float()
        truth = batch["position_map"].permute(0, 2, 3, 1).float()
        error = (maps - truth).norm(dim=-1) * CROP_SIZE * self._layout.mask
        found, true = self._layout.vertices_from_map(maps), self._layout.vertices_from_map(truth)
        return position_maps_picture([batch[name] for name in self._views], found, true, self._layout.triangles, error)

    def _plain(self, batch: Tensors) -> Tensor:
        return torch.cat([batch[name].float() / 255 for name in self._views], 1)

    def _maps(self, network: nn.Module, views: Tensor, batch: Tensors) -> Tensor:
        """(B, 3, 256, 256) position maps of the network."""
        if not self._fitted:
            maps: Tensor = network(views.contiguous(memory_format=torch.channels_last))
            return maps
        fitted, seen = self._seen(views, batch)
        return corrected(fitted, network(seen.contiguous(memory_format=torch.channels_last)).float())

    def _seen(self, views: Tensor, batch: Tensors) -> tuple[Tensor, Tensor]:
        """Position maps (B, 3, 256, 256) of the fitted faces, and what the network sees of them."""
        assert self._fitted is not None
        known = self._known(batch)
        fit = {
            name: torch.where(known[:, None], batch[f"fitted_{name}"], 0.0)
            for name in ("pose", "camera", "shape", "expression")
        }
        vertices = self._model.vertices(fit["shape"], fit["expression"])
        camera, rotate = Camera.from_row(fit["pose"], fit["camera"]), self._rotate
        second = second_camera(self._model, camera, vertices, rotate.yaw_change, rotate.keep_pitch)
        return self._fitted(views, (camera, vertices), (second, vertices))

    def _known(self, batch: Tensors) -> Tensor:
        """(B,) bool, whether a row has all that the network sees."""
        if "rotated" not in self._views:
            return torch.ones(len(batch["crop"]), dtype=torch.bool, device=self._device)
        return batch["rotated"].flatten(1).bool().any(1)

    def _error(self, maps: Tensor, batch: Tensors, axes: int) -> Tensor:
        difference = (maps.float() - batch["position_map"].float())[:, :axes] * CROP_SIZE
        distance = difference.norm(dim=1)[:, self._layout.mask].mean(-1)
        return torch.where(self._known(batch), distance / box_size(batch["landmarks_3d"]), torch.nan)


def columns(settings: PositionMapTraining) -> tuple[str, ...]:
    """Columns of the data that a training needs."""
    if not isinstance(settings, TwoViewTraining):
        return PositionMapRecipe.columns
    fit = ("fitted_pose", "fitted_camera", "fitted_shape", "fitted_expression") if settings.fit else ()
    return (*PositionMapRecipe.columns, "rotated", *fit)


def map_weights(model: FaceModel, mask: str) -> Tensor:
    """(256, 256) how much each UV pixel counts; see `MapLosses.mask`."""
    layout = UvLayout.of(model)
    weights = torch.zeros(MAP_SIZE, MAP_SIZE)
    weights[layout.mask] = FACE_WEIGHT
    if mask == "uniform":
        return (weights > 0).float()
    inner = torch.tensor([REGIONS.index(name) for name in INNER_REGIONS])
    in_region = torch.isin(model.regions.long(), inner)[layout.vertices]
    corners = in_region[layout.corners].all(-1)
    weights[layout.mask] = torch.where(corners, INNER_WEIGHT, FACE_WEIGHT)
    places = (model.uv[model.landmark_corners] * model.landmark_weights[..., None]).sum(1)
    contour = (model.uv[model.contour_corners[:, 0]] * model.contour_weights[:, 0, :, None]).sum(1)
    for place in torch.cat([places, contour]):
        if bool(place.isfinite().all()):
            column, row = (place * MAP_SIZE).long().clamp(0, MAP_SIZE - 1).tolist()
            weights[row, column] = LANDMARK_WEIGHT
    return weights * layout.mask

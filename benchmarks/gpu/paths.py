"""Every path that runs on CUDA, as a function of the device: what is compared, timed and profiled."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.config.assets import ROTATOR_WEIGHTS
from facerecon_ray.config.reconstruct import (
    ChainSettings,
    CropSettings,
    FitSettings,
    ReconstructSettings,
    RotateSettings,
)
from facerecon_ray.config.training import NETWORKS, TrainJob
from facerecon_ray.geometry.crop_camera import crop_camera
from facerecon_ray.geometry.crop_transform import apply_transform
from facerecon_ray.geometry.fitting import LandmarkFitter
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.rasterizer import rasterize
from facerecon_ray.geometry.turned_view import target_angles, turn_view
from facerecon_ray.geometry.view_filling import fill_view
from facerecon_ray.networks.face_descriptor import FaceDescriber
from facerecon_ray.networks.face_detectors import build_detector
from facerecon_ray.networks.view_generator import load_weights
from facerecon_ray.stages.chain import FIT, ROTATE, ChainPart
from facerecon_ray.stages.network_fitting import NetworkFitter
from facerecon_ray.stages.reconstruct import Reconstructor
from facerecon_ray.stages.stage import Batch
from facerecon_ray.synthesis.batched.photographer import COLUMNS, BatchedPhotographer
from facerecon_ray.synthesis.batched.views import draw_views
from facerecon_ray.training.batch_tensors import on_device
from facerecon_ray.training.recipes.registry import build_recipe, columns_of
from gpu.inputs import Inputs

Arrays = dict[str, np.ndarray]
Path = Callable[[torch.device], Arrays]


class Paths:
    """The paths on some inputs.

    Parameters
    ----------
    inputs : photos, faces and dressed heads
    rows : faces that each path gets
    """

    def __init__(self, inputs: Inputs, rows: int) -> None:
        self.inputs, self.rows = inputs, rows
        self.crops = torch.from_numpy(inputs.repeated(inputs.faces, rows)["crop"]).permute(0, 3, 1, 2).float()

    def detector(self, kind: str) -> Path:
        """Boxes of the first face in each photo, and how many faces there are."""

        def run(device: torch.device) -> Arrays:
            settings = CropSettings.model_validate({"detector": kind, "device": str(device)})
            found = build_detector(settings).detect(self.inputs.pixels)
            some = [faces.boxes[0] if len(faces.boxes) else np.zeros(4) for faces in found]
            return {"boxes": np.stack(some), "count": np.array([len(faces.boxes) for faces in found])}

        return run

    def fitter(self, device: torch.device) -> Arrays:
        """The network's landmarks, and what is fitted to them."""
        model = self.inputs.model.to(device)
        found, fit = NetworkFitter(None, model).read_and_fit(self.crops.to(device), None)
        vertices = model.vertices(fit.shape, fit.expression)
        arrays = {"network landmarks": found.landmarks, "landmarks": fit.landmarks[..., :2], "mesh": vertices}
        return _arrays({**arrays, "pose": fit.camera.angles})

    def fit(self, device: torch.device) -> Arrays:
        """The fit alone, of the same landmarks."""
        batch = self.inputs.repeated(self.inputs.faces, self.rows)
        places = torch.from_numpy(apply_transform(batch["crop_transform"], batch["landmarks"]).astype(np.float32))
        model = self.inputs.model.to(device)
        fit = LandmarkFitter(model)(places.to(device))
        return _arrays({"mesh": model.vertices(fit.shape, fit.expression), "landmarks": fit.landmarks[..., :2]})

    def rasterizer(self, device: torch.device) -> Arrays:
        """What each pixel sees of the fitted heads, projected on the CPU."""
        points, triangles = self.drawn_heads()
        fragments = rasterize(points.to(device), triangles.to(device), 256, 256)
        depth = fragments.depth.clamp(min=-1e3)
        return _arrays({"triangles": fragments.triangle, "depth": depth, "barycentric": fragments.barycentric})

    def fill(self, device: torch.device) -> Arrays:
        """The turned and filled view of the same fits."""
        camera, vertices = self._heads(device)
        model, photos = self.inputs.model.to(device), self.crops.to(device)
        view = turn_view(model, photos, vertices, camera, target_angles(camera.angles, 30.0, False))
        return _arrays({"picture": fill_view(view, photos), "seen": view.seen})

    def generator(self, device: torch.device) -> Arrays:
        """The rotator's network on the same filled views."""
        batch = self.inputs.repeated(self.inputs.rotated, self.rows)
        network = load_weights(ROTATOR_WEIGHTS).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        views = torch.from_numpy(batch["rotated"]).permute(0, 3, 1, 2).float() / 255
        masks = [torch.from_numpy(batch[name])[:, None].float() / 255 for name in ("rotated_seen", "rotated_head")]
        with torch.inference_mode():
            seen = torch.cat([views, *masks], 1).to(device).contiguous(memory_format=torch.channels_last)
            return _arrays({"picture": 255 * network(seen)})

    def reconstructor(self, method: str) -> Path:
        """Position maps, crop pixels."""

        def run(device: torch.device) -> Arrays:
            settings = ReconstructSettings.model_validate({"method": method, "device": str(device)})
            maps = Reconstructor(settings)(self.inputs.repeated(self.inputs.rotated, self.rows))["position_map"]
            return {"map": 256 * maps.astype(np.float32)}

        return run

    def rotator(self, device: torch.device) -> Arrays:
        """The stages fit and rotate."""
        settings = ChainSettings(fit=FitSettings(device=str(device)), rotate=RotateSettings(device=str(device)))
        batch = ChainPart(settings, FIT, ROTATE, model=self.inputs.model)(
            self.inputs.repeated(self.inputs.faces, self.rows)
        )
        return {name: batch[name] for name in ("landmarks", "pose", "rotated", "visible_share", "quality")}

    def descriptor(self, device: torch.device) -> Arrays:
        """Of the same crops and landmarks."""
        batch = self.inputs.repeated(self.inputs.faces, self.rows)
        marks = torch.from_numpy(apply_transform(batch["crop_transform"], batch["landmarks"]).astype(np.float32))
        describe = FaceDescriber(self.inputs.model.to(device))
        with torch.no_grad():
            return _arrays({"descriptor": describe(self.crops.to(device), marks.to(device))})

    def losses(self, network: str) -> Path:
        """The parts of a network's loss at its first step, of the same rows and the same weights."""

        def run(device: torch.device) -> Arrays:
            torch.manual_seed(0)
            job = training_job(network, device, self.inputs.quick)
            recipe = build_recipe(job, device)
            wanted = columns_of(job)
            batch = on_device({name: self._training_columns()[name] for name in wanted}, device)
            for module in recipe.modules.values():
                module.to(device).train()
            random = torch.Generator().manual_seed(0)
            parts = {
                f"{name}/{part}": value
                for name, losses in recipe.losses(recipe.modules, batch, random)
                for part, value in losses.items()
            }
            return _arrays({name: value.detach()[None] for name, value in parts.items()})

        return run

    def rendering(self, device: torch.device) -> Arrays:
        """Training rows without the cameras' noise."""
        quiet = self.inputs.job.model_copy(
            update={"camera": self.inputs.job.camera.model_copy(update={"noise": 0.0, "jpeg_share": 0.0})}
        )
        rows = photographer(self.inputs, device, 128)(draw_views(quiet, min(self.rows, 16), 1))
        return _arrays({"crop": rows["crop"].float(), "landmarks": rows["landmarks_3d"], "shape": rows["shape"]})

    def drawn_heads(self) -> tuple[Tensor, Tensor]:
        """Points (B, N, 3) of the fitted heads in their crops, and their triangles (T, 3)."""
        camera, vertices = self._heads(torch.device("cpu"))
        return camera.project(vertices), self.inputs.model.triangles

    def _heads(self, device: torch.device) -> tuple[Camera, Tensor]:
        return fitted_heads(self.inputs.repeated(self.inputs.rotated, self.rows), self.inputs, device)

    @cache  # noqa: B019 - one object for a whole run
    def _training_columns(self) -> Batch:
        """Columns of real faces: what was fitted counts as the truth."""
        batch = self.inputs.repeated(self.inputs.rotated, min(self.rows, 8))
        model = self.inputs.model
        camera, vertices = fitted_heads(batch, self.inputs, torch.device("cpu"))
        points = camera.project(vertices)
        return {
            **batch,
            "landmarks_3d": projected_landmarks(model, vertices, camera).numpy(),
            "dense_landmarks": points[:, model.dense_landmarks, :2].numpy(),
            "position_map": UvLayout.of(model).position_map(points).half().numpy(),
            "true_rotated": batch["rotated"],
            **{f"fitted_{name}": batch[name] for name in ("pose", "camera", "shape", "expression")},
        }


def fitted_heads(batch: Batch, inputs: Inputs, device: torch.device) -> tuple[Camera, Tensor]:
    """Cameras in the crops, and vertices (B, N, 3), of fitted faces."""
    pose, camera, shape, expression = (
        torch.from_numpy(batch[name]).to(device) for name in ("pose", "camera", "shape", "expression")
    )
    return crop_camera(pose, camera, batch["crop_transform"]), inputs.model.to(device).vertices(shape, expression)


def photographer(
    inputs: Inputs, device: torch.device, size: int, columns: tuple[str, ...] = COLUMNS
) -> BatchedPhotographer:
    """Renders training rows on a device."""
    return BatchedPhotographer(
        inputs.wardrobe.to(device), inputs.surroundings.to(device), inputs.model.to(device), columns, size
    )


def training_job(network: str, device: torch.device, quick: bool, **settings: object) -> TrainJob:
    """Settings of a training without files; quick: with few backgrounds, which take a while to draw."""
    few = {"background_count": 4} if network == "detector" and quick else {}
    workers = {"gpus": 1.0 if device.type == "cuda" else 0.0}
    given = {"data": "unused", "output": "unused", "device": str(device), "workers": workers, **few, **settings}
    return NETWORKS[network].model_validate(given)


def _arrays(tensors: dict[str, Tensor]) -> Arrays:
    return {name: tensor.float().cpu().numpy() for name, tensor in tensors.items()}

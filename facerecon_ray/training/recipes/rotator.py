"""How the generator that repairs rotated views learns, against discriminators: from true rotated views, or from photos
alone by turning them there and back (Zhou et al., Unsupervised Photorealistic Face Rotation, 2020, section 3.2).

The true rotated view does not lie exactly on the rendered one: the fitted pose is a few degrees off, the face a few
pixels. Where the photo saw the face, three quarters of the pixels, that is all the difference there is, and no repair
can undo it. So pixels count by how far the generator reaches them, they are compared at several resolutions, and what
the photo saw is held by the render itself. That it stays the same person is judged by face recognition, which is blind
for those few pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from facerecon_ray.config.training import RotatorTraining
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.lens import Lens
from facerecon_ray.geometry.picture_similarity import masked_signal_to_noise, masked_structural_similarity
from facerecon_ray.geometry.turned_view import target_angles, turn_view
from facerecon_ray.geometry.view_filling import fill_view
from facerecon_ray.networks.face_descriptor import FaceDescriber
from facerecon_ray.networks.view_discriminator import (
    ViewDiscriminator,
    feature_distance,
    hinge_of_discriminator,
    hinge_of_generator,
    select,
)
from facerecon_ray.networks.view_generator import ViewGenerator, corrected_region, corrected_share
from facerecon_ray.stages.network_fitting import NetworkFitter
from facerecon_ray.training.recipes.recipe import Recipe, Tensors

POOLINGS = (1, 4, 16)
"""Sides in pixels of the squares over which colours are averaged before they are compared."""

PICTURE_ROWS = 6

JITTER = 2.0
"""Pixels by which faces are cut out wrongly before they are compared, standard deviation: what convinces at one place
only is no likeness."""


@dataclass(frozen=True)
class Lessons:
    """What the generator is shown, and what it should make of it.

    crop    (B, 3, 256, 256) the photo, 0 to 1
    filled  (B, 3, 256, 256) the filled view, 0 to 1
    seen    (B, 1, 256, 256) how well the photo saw each pixel, 0 to 1
    head    (B, 1, 256, 256) 1 where the head is, else 0
    target  (B, 3, 256, 256) the picture as it should be, 0 to 1
    valid   (B,) bool, whether the row has all that
    """

    crop: Tensor
    filled: Tensor
    seen: Tensor
    head: Tensor
    target: Tensor
    valid: Tensor

    @property
    def inputs(self) -> Tensor:
        """(B, 5, 256, 256) the generator's input."""
        return torch.cat([self.filled, self.seen, self.head], 1)


class RotatorRecipe(Recipe):
    """The generator and its discriminators.

    Figures, over the head's pixels: psnr (decibels), ssim and l1 (share of white) of the repaired view against the
    true one; l1_unseen over those of them that the photo did not see; strangeness, 1 minus the cosine between face
    recognition's descriptors of view and crop; and the same with _input of the unrepaired view.
    Those of l1 of a row without a true rotated view are those after turning there and back, where the regime uses
    that.
    """

    columns: ClassVar[tuple[str, ...]] = ("crop", "rotated", "rotated_seen", "rotated_head", "true_rotated", "pose")
    result: ClassVar[str] = "generator"
    goal: ClassVar[str] = "l1_unseen"

    def __init__(self, settings: RotatorTraining, device: torch.device) -> None:
        self._settings = settings
        self._judge = ViewDiscriminator().to(device)
        self.modules = {"generator": ViewGenerator().to(device), "discriminator": self._judge}
        self._turn = None if settings.regime == "supervised" else ThereAndBack(settings, device)
        self._strangeness = Strangeness(settings, device)

    def losses(
        self, modules: Mapping[str, nn.Module], batch: Tensors, random: torch.Generator
    ) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """The discriminators' step, then the generator's with the improved discriminators."""
        lessons = self._lessons(self._augmented(batch, random))
        count = len(lessons.valid)
        real = lessons.filled + corrected_region(lessons.head) * (lessons.target - lessons.filled)
        reach = corrected_share(lessons.head, lessons.seen)
        fake: Tensor = modules["generator"](lessons.inputs)

        def mean(values: Tensor) -> Tensor:
            return torch.where(lessons.valid, values, 0.0).sum() / lessons.valid.sum().clamp(min=1)

        judged = modules["discriminator"](torch.cat([real, fake.detach()]))
        of_real, of_fake = select(judged, slice(count)), select(judged, slice(count, None))
        yield "discriminator", {"hinge": mean(hinge_of_discriminator(of_real, of_fake))}

        weights = self._settings.losses
        with _frozen(self._judge):
            with torch.no_grad():
                of_real = self._judge(real)
            of_fake = self._judge(fake)
        changed = (fake - lessons.filled).abs().mean(1, keepdim=True)
        parts = {
            "adversarial": (weights.adversarial, hinge_of_generator(of_fake)),
            "features": (weights.features, feature_distance(of_real, of_fake)),
            "reconstruction": (weights.reconstruction, _pooled_distance((fake - real) * reach, reach)),
            "seen": (weights.seen, _mean_over(changed, lessons.seen)),
        }
        if weights.identity > 0:
            (strange,) = self._strangeness([fake], lessons, random)
            parts["identity"] = (weights.identity, strange)
        yield "generator", {name: weight * mean(values) for name, (weight, values) in parts.items()}

    @torch.no_grad()
    def figures(self, network: nn.Module, batch: Tensors) -> dict[str, Tensor]:
        """Likeness of the repaired and the unrepaired view to the true one."""
        pictures = _as_floats(batch)
        lessons = _with_true_views(pictures)
        repaired = network(lessons.inputs).float()
        figures = {f"{name}_input": values for name, values in _likeness(lessons.filled, lessons).items()}
        figures |= _likeness(repaired, lessons)
        strange = self._strangeness([lessons.filled, repaired], lessons)
        figures |= dict(zip(("strangeness_input", "strangeness"), strange, strict=True))
        figures = {name: torch.where(lessons.valid, values, torch.nan) for name, values in figures.items()}
        if self._turn is not None and not lessons.valid.all():
            back = self._turn(pictures["crop"])
            likeness = _likeness(network(back.inputs).float(), back)
            only_back = back.valid & ~lessons.valid
            for name in ("l1", "l1_unseen"):
                figures[name] = torch.where(only_back, likeness[name], figures[name])
        return figures | {f"{name}@": values for name, values in figures.items()}

    @torch.no_grad()
    def picture(self, network: nn.Module, batch: Tensors) -> np.ndarray:
        """Some rows of crop, unrepaired, repaired and true view, beside each other; rows that have all come first."""
        pictures = _as_floats(batch)
        lessons = _with_true_views(pictures)
        repaired = network(lessons.inputs).float()
        rows = torch.argsort(lessons.valid, descending=True, stable=True)[:PICTURE_ROWS]
        cells = torch.cat([pictures["crop"], lessons.filled, repaired, lessons.target], 3)[rows]
        sheet = (255 * cells).round().clamp(0, 255).byte().permute(0, 2, 3, 1).flatten(0, 1)
        return sheet.cpu().numpy()

    def _lessons(self, pictures: Tensors) -> Lessons:
        if self._turn is None:
            return _with_true_views(pictures)
        if self._settings.regime == "self-supervised":
            return self._turn(pictures["crop"])
        half = (len(pictures["crop"]) + 1) // 2
        true = _with_true_views({name: column[:half] for name, column in pictures.items()})
        back = self._turn(pictures["crop"][half:]) if len(pictures["crop"]) > half else None
        return true if back is None else _joined(true, back)

    def _augmented(self, batch: Tensors, random: torch.Generator) -> dict[str, Tensor]:
        """Mirror half of the rows and change their colours; all pictures of a row alike."""
        pictures = _as_floats(batch)
        settings = self._settings.augmentation
        count, device = len(pictures["crop"]), pictures["crop"].device
        if settings.mirror:
            mirrored = (torch.rand(count, 1, 1, 1, generator=random) < 0.5).to(device)
            pictures = {name: torch.where(mirrored, column.flip(-1), column) for name, column in pictures.items()}
        low, high = settings.channels
        factors = (low + (high - low) * torch.rand(count, 3, 1, 1, generator=random)).to(device)
        coloured = {name: (pictures[name] * factors).clamp(max=1.0) for name in ("crop", "rotated", "true_rotated")}
        return {**pictures, **coloured}


class ThereAndBack:
    """Turns photos away with a frozen fitter's geometry and back to their own pose, where the original is known."""

    def __init__(self, settings: RotatorTraining, device: torch.device) -> None:
        self._rotate = settings.rotate
        self._model = FaceModel.open(settings.face_model).to(device)
        self._fitter = NetworkFitter(settings.fitter, self._model)

    @torch.no_grad()
    def __call__(self, crops: Tensor) -> Lessons:
        """Lessons whose target are the crops (B, 3, 256, 256), 0 to 1.

        A pixel counts as seen where the turned view saw it at a place that the photo had seen.
        """
        with torch.autocast(crops.device.type, enabled=False):
            photos = 255 * crops
            fit = self._fitter(photos, Lens.unknown(len(photos), photos.device))
            camera, vertices = fit.camera, self._model.vertices(fit.shape, fit.expression)
            angles = target_angles(camera.angles, self._rotate.yaw_change, self._rotate.keep_pitch)
            there = turn_view(self._model, photos, vertices, camera, angles)
            turned = fill_view(there, photos)
            back = turn_view(self._model, torch.cat([turned, there.seen], 1), vertices, there.camera, camera.angles)
            back = replace(
                back,
                picture=back.picture[:, :3],
                seen=back.seen * back.picture[:, 3:],
                mirrored=back.mirrored[:, :3],
                mirror_seen=back.mirror_seen * back.mirrored[:, 3:],
            )
            filled = (fill_view(back, turned) / 255).clamp(0.0, 1.0)
            valid = crops.flatten(1).any(1) & back.head.flatten(1).any(1)
            return Lessons(crops, filled, back.seen, back.head.float(), crops, valid)


class Strangeness:
    """How little a turned view looks like the person in the crop, to dlib's face recognition network.

    Both faces are cut out by the landmarks that a frozen fitter finds in the crop and in the unrepaired view.
    """

    def __init__(self, settings: RotatorTraining, device: torch.device) -> None:
        model = FaceModel.open(settings.face_model).to(device)
        self._describe, self._fitter = FaceDescriber(model), NetworkFitter(settings.fitter, model)

    def __call__(
        self, views: Sequence[Tensor], lessons: Lessons, random: torch.Generator | None = None
    ) -> list[Tensor]:
        """For each of the views (B,) 1 minus the cosine between its descriptors and those of the crops.

        Parameters
        ----------
        views : (B, 3, 256, 256) each, 0 to 1, what becomes of the lessons' filled views; gradients pass to them
        lessons : B rows
        random : on the CPU; with it the faces are cut out a little beside their places
        """
        with torch.autocast(lessons.crop.device.type, enabled=False):
            with torch.no_grad():
                crop_marks, marks = (
                    self._fitter.read(255 * pictures).landmarks for pictures in (lessons.crop, lessons.filled)
                )
                own = self._describe(255 * lessons.crop, crop_marks)
            if random is not None:
                marks = marks + JITTER * torch.randn(len(marks), 1, 2, generator=random).to(marks.device)
            return [1 - functional.cosine_similarity(self._describe(255 * view, marks), own) for view in views]


def _as_floats(batch: Tensors) -> dict[str, Tensor]:
    """The batch's pictures, 0 to 1."""
    names = ("crop", "rotated", "rotated_seen", "rotated_head", "true_rotated")
    return {name: batch[name].float() / 255 for name in names}


def _with_true_views(pictures: Tensors) -> Lessons:
    valid = pictures["rotated"].flatten(1).any(1) & pictures["true_rotated"].flatten(1).any(1)
    return Lessons(
        pictures["crop"],
        pictures["rotated"],
        pictures["rotated_seen"],
        pictures["rotated_head"],
        pictures["true_rotated"],
        valid,
    )


def _joined(first: Lessons, second: Lessons) -> Lessons:
    return Lessons(
        torch.cat([first.crop, second.crop]),
        torch.cat([first.filled, second.filled]),
        torch.cat([first.seen, second.seen]),
        torch.cat([first.head, second.head]),
        torch.cat([first.target, second.target]),
        torch.cat([first.valid, second.valid]),
    )


def _likeness(pictures: Tensor, lessons: Lessons) -> dict[str, Tensor]:
    """(B,) figures of pictures against the target over the head's pixels."""
    difference = (pictures - lessons.target).abs().mean(1, keepdim=True)
    return {
        "l1": _mean_over(difference, lessons.head),
        "l1_unseen": _mean_over(difference, lessons.head * (1 - lessons.seen)),
        "psnr": masked_signal_to_noise(pictures, lessons.target, lessons.head),
        "ssim": masked_structural_similarity(pictures, lessons.target, lessons.head),
    }


def _pooled_distance(difference: Tensor, weight: Tensor) -> Tensor:
    """(B,) absolute difference (B, 3, H, W) after averaging over squares, by a weight that it is already times."""
    parts = [functional.avg_pool2d(difference, side).abs().mean((1, 2, 3)) for side in POOLINGS]
    return torch.stack(parts).mean(0) / weight.mean((1, 2, 3)).clamp(min=1e-3)


def _mean_over(values: Tensor, weight: Tensor) -> Tensor:
    """(B,) weighted mean of each row; values and weight (B, 1, H, W)."""
    return (values * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1.0)


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through the network and do not reach its weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)

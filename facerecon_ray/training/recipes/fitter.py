"""How the fitter learns: synthetic faces whose pose, shape, expression and points are known.

Points and pose are learnt by steps. Shape and expression follow from them by a regression that is solved, in a
training again and again by the rows that it has just seen. What shape and expression are off by is learnt from, too,
back through the regression: in how far points are off it hardly shows, because faces differ by a small part of what
points move.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from facerecon_ray.config.assets import FITTER_WEIGHTS
from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.config.training import FitterTraining
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import LANDMARKS, FaceModel
from facerecon_ray.geometry.fitting import box_size
from facerecon_ray.geometry.landmarks import LandmarkModel
from facerecon_ray.geometry.mirrored_faces import mirrored_coefficients, mirrored_points
from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES, Camera, angles_from_rotation, rotation_from_angles
from facerecon_ray.networks.both_ways import look_both_ways
from facerecon_ray.networks.fitter import (
    FACE_MODEL,
    INPUT_SIZE,
    FittedFaces,
    FitterNetwork,
    load_weights,
    network_for,
    shrink,
)
from facerecon_ray.report.training_pictures import fitted_faces_picture
from facerecon_ray.stages.face_finder import FaceFinder
from facerecon_ray.training.recipes.augmentation import Placement, photographed
from facerecon_ray.training.recipes.face_moves import moves, spread, usual_move
from facerecon_ray.training.recipes.point_losses import map_loss, negative_log_likelihood
from facerecon_ray.training.recipes.recipe import Recipe, Tensors
from facerecon_ray.training.recipes.seen_points import SeenPoints, measure_errors, solve_coefficients
from facerecon_ray.training.recipes.taught_portraits import TaughtPortraits

VERTICES = 600
"""Of the face region's vertices so many, evenly chosen, are compared."""

MAPS = 40
"""Of the points that a step learns so many have their heat maps compared, drawn anew: all would take as long as the
network."""

SOLVED_ROWS = 20_000
"""After each so many rows a worker solves the regression by them."""


class FitterRecipe(Recipe):
    """Learn points and pose by steps, distances in crop pixels; shape and expression follow from them, and are solved.

    They are solved for squared errors, whose best answer is the mean of what a face may be: that is what the fit
    expects of them. Most expressions move little, and the best answer to plain distances would be none.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "crop",
        "pose",
        "camera",
        "shape",
        "expression",
        "landmarks_3d",
        "dense_landmarks",
    )
    result: ClassVar[str] = "fitter"
    goal: ClassVar[str] = "landmark_error"

    def __init__(self, settings: FitterTraining, device: torch.device) -> None:
        model = FaceModel.open(settings.face_model)
        self._settings, self._device = settings, device
        self._network = network_for(model)
        self.modules = {self.result: self._network}
        face = model.face_vertices
        chosen = face[torch.linspace(0, len(face) - 1, min(VERTICES, len(face))).long()]
        self._mean = model.mean[chosen].to(device)
        self._shape_basis = model.shape_basis[:, chosen].to(device)
        self._expression_basis = model.expression_basis[:, chosen].to(device)
        self._landmarks = LandmarkModel.of(model.to(device))
        self._shape_spread, self._expression_spread = (
            spread(basis[:, chosen]).to(device) for basis in (model.shape_basis, model.expression_basis)
        )
        self._mirror = mirrored_coefficients(model).to(device)
        self._mirrored_points = mirrored_points(model).to(device)
        self._lately: list[SeenPoints] = []
        self._model = model.to(device)
        self._portraits = self._taught_portraits()

    @property
    def metadata(self) -> dict[str, str]:
        return {FACE_MODEL: self._model.fingerprint}

    def losses(
        self, modules: Mapping[str, nn.Module], batch: Tensors, random: torch.Generator
    ) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """The distances of points, of what the pose does to the face and of the face, each with its weight."""
        rows, portraits = len(batch["crop"]), self._drawn_portraits(len(batch["crop"]), random)
        crops = torch.cat([batch["crop"], *(some.crops for some in portraits)]).float() / 255
        placement = Placement.draw(self._settings.augmentation, len(crops), CROP_SIZE, random).to(self._device)
        moved = placement.pictures(crops, INPUT_SIZE)
        seen = photographed(moved[:, None], self._settings.augmentation, random)[:, 0]
        chosen = self._choose(random)
        truth = self._moved_truth(batch, placement.part(slice(rows)))
        true_points = truth.points if chosen is None else truth.points[:, chosen]
        output = modules[self.result](seen.contiguous(memory_format=torch.channels_last), chosen)
        both = self._network.read(output)
        found = both.part(slice(rows))
        head, weights = self._head(truth), self._settings.losses
        drawn = torch.randperm(true_points.shape[1], generator=random)[:MAPS].to(self._device)
        parts = {
            "vertices": weights.vertices * _distance(_project(head, found), _project(head, truth)),
            "landmarks": weights.landmarks * _distance(found.landmarks, truth.landmarks),
            "points": weights.points * _distance(found.points, true_points),
            "likelihood": weights.likelihood * negative_log_likelihood(found.points - true_points, found.deviation),
            "maps": weights.maps * map_loss(output[1][:rows, drawn], true_points[:, drawn]),
            "shape": weights.shape * usual_move(found.shape - truth.shape, self._shape_spread),
            "expression": weights.expression
            * usual_move(found.expression - truth.expression, self._expression_spread),
        }
        for some in portraits:
            there = slice(rows, None)
            unlike = self._unlike(both.part(there), some, placement.part(there), chosen)
            parts["portraits"] = weights.portraits * unlike
        yield self.result, parts
        # After the step: its gradients go through the regression as it was.
        self._remember(found, truth, true_points, chosen)

    def _taught_portraits(self) -> TaughtPortraits | None:
        """Portraits that the network which the training begins with has looked at, if there are any."""
        if self._settings.portraits is None:
            return None
        weights = self._settings.init or FITTER_WEIGHTS
        network = load_weights(weights, self._model).to(self._device).eval()
        finder = FaceFinder(CropSettings(device="cpu"), weights, self._settings.face_model)
        return TaughtPortraits.read(self._settings.portraits, finder, network)

    def _drawn_portraits(self, rows: int, random: torch.Generator) -> list[TaughtPortraits]:
        """Those that a step learns from, if any."""
        count = round(self._settings.portrait_share * rows)
        return [self._portraits.draw(count, random)] if self._portraits is not None and count else []

    def _unlike(
        self, found: FittedFaces, taught: TaughtPortraits, placement: Placement, chosen: Tensor | None
    ) -> Tensor:
        """How far what is found in portraits is from what they taught, pixels of points and millimetres of faces."""
        mirrored, size = placement.mirrored[:, None], found.shape.shape[1]
        coefficients = torch.where(mirrored, taught.coefficients @ self._mirror, taught.coefficients)
        places = torch.where(mirrored[..., None], taught.points[:, self._network.mirrored], taught.points)
        return (
            _distance(self._telling(found.points, chosen), placement.move(places))
            + usual_move(found.shape - coefficients[:, :size], self._shape_spread)
            + usual_move(found.expression - coefficients[:, size:], self._expression_spread)
        )

    def _telling(self, values: Tensor, chosen: Tensor | None) -> Tensor:
        """(B, T, ...) what belongs to the telling points, of the chosen ones the first."""
        telling = self._network.telling
        return values[:, telling] if chosen is None else values[:, : len(telling)]

    def _remember(self, found: FittedFaces, truth: FittedFaces, places: Tensor, chosen: Tensor | None) -> None:
        """Keep what the regression is solved by, and when there is enough of it, do so."""
        points, deviation, true_points = (
            self._telling(values, chosen).detach() for values in (found.points, found.deviation, places)
        )
        coefficients = torch.cat([truth.shape, truth.expression], 1)
        self._lately.append(SeenPoints(points, deviation, true_points, found.rotation.detach(), coefficients))
        if sum(len(rows.points) for rows in self._lately) >= SOLVED_ROWS:
            self.solve(self._network, self._lately)
            self._lately.clear()

    def calibrate(self, network: nn.Module, result: nn.Module, batches: Iterable[Tensors]) -> None:
        """Solve the coefficients by one half of the rows, and measure by the other how points and they err.

        `facerecon model calibrate` does both with more rows.
        """
        seen = list(self.seen(network, batches))
        self.solve(result, seen[::2])
        self.measure(result, seen[1::2] or seen)

    @torch.no_grad()
    def seen(self, network: nn.Module, batches: Iterable[Tensors]) -> Iterator[SeenPoints]:
        """What a network finds in rows and their mirror images, and what is true of them."""
        for batch in batches:
            truth, found = _truth(batch), look_both_ways(self._network, self._input(batch["crop"]), network)
            yield SeenPoints(
                found.points,
                found.deviation,
                truth.points[:, self._network.telling],
                found.rotation,
                torch.cat([truth.shape, truth.expression], 1),
            )

    def solve(self, result: nn.Module, seen: Sequence[SeenPoints]) -> None:
        """Solve the regression of coefficients from points."""
        solve_coefficients(cast(FitterNetwork, result), seen, self._mirror)

    def measure(self, result: nn.Module, seen: Sequence[SeenPoints]) -> None:
        """Measure how the errors of landmarks and coefficients vary together."""
        measure_errors(cast(FitterNetwork, result), seen)

    @torch.inference_mode()
    def figures(self, network: nn.Module, batch: Tensors) -> dict[str, Tensor]:
        """Errors of each row, which is looked at once, not mirrored besides; those of coefficients are of a regression
        that was solved by the last calibration.

        point_error@           mean distance of the points to the true ones, share of the landmarks' box size
        landmark_error@        mean distance of the regressed landmarks to the true ones, share of their box size
        model_landmark_error@  the same for the landmarks of the regressed face
        pose_error@            mean of the absolute errors of yaw, pitch and roll, degrees
        shape_error            mean distance of the face's vertices without pose and expression, millimetres
        mean_shape_error       the same for the mean face
        expression_error, still_expression_error   the same for the expression, and for none
        """
        found = self._network.read(network(self._input(batch["crop"])))
        truth = _truth(batch)
        size = box_size(truth.landmarks)
        point_error = (found.points - truth.points).norm(dim=-1).mean(-1) / size

        def error(landmarks: Tensor) -> Tensor:
            return (landmarks[..., :2] - truth.landmarks[..., :2]).norm(dim=-1).mean(-1) / size

        turned = (found.camera.angles - truth.camera.angles + 180.0) % 360.0 - 180.0
        landmark_error, pose_error = error(found.landmarks), turned.abs().mean(-1)
        model_error = error(self._model_landmarks(found, found))
        return {
            "point_error": point_error,
            "point_error@": point_error,
            "landmark_error": landmark_error,
            "landmark_error@": landmark_error,
            "model_landmark_error": model_error,
            "model_landmark_error@": model_error,
            "pose_error": pose_error,
            "pose_error@": pose_error,
            "shape_error": moves(found.shape - truth.shape, self._shape_basis),
            "mean_shape_error": moves(truth.shape, self._shape_basis),
            "expression_error": moves(found.expression - truth.expression, self._expression_basis),
            "still_expression_error": moves(truth.expression, self._expression_basis),
        }

    @torch.inference_mode()
    def picture(self, network: nn.Module, batch: Tensors) -> np.ndarray:
        """Crops, the landmarks found in them, and the regressed faces."""
        found = self._network.read(network(self._input(batch["crop"])))
        vertices = self._model.vertices(found.shape, found.expression)
        return fitted_faces_picture(
            self._model, batch["crop"], found.landmarks, _truth(batch).landmarks, found.camera.project(vertices)
        )

    def _input(self, crops: Tensor) -> Tensor:
        return shrink(crops.float() / 255).contiguous(memory_format=torch.channels_last)

    def _choose(self, random: torch.Generator) -> Tensor | None:
        """(P,) points that a step learns: the telling ones, then others drawn anew; None for all."""
        telling, points = self._network.telling.cpu(), LANDMARKS + len(self._model.dense_landmarks)
        others = torch.ones(points, dtype=torch.bool)
        others[telling] = False
        rest, wanted = others.nonzero()[:, 0], self._settings.dense_points
        if wanted is None or wanted >= len(rest):
            return None
        drawn = rest[torch.randperm(len(rest), generator=random)[:wanted]]
        return torch.cat([telling, drawn]).to(self._device)

    def _moved_truth(self, batch: Tensors, placement: Placement) -> FittedFaces:
        """What is true of the crops after they were moved."""
        truth = _truth(batch)
        mirrored = placement.mirrored
        coefficients = torch.cat([truth.shape, truth.expression], 1)
        coefficients = torch.where(mirrored[:, None], coefficients @ self._mirror, coefficients)
        shape, expression = coefficients.split([truth.shape.shape[1], truth.expression.shape[1]], 1)
        flip = torch.diag(truth.rotation.new_tensor([-1.0, 1.0, 1.0]))
        rotation = torch.where(mirrored[:, None, None], flip @ truth.rotation @ flip, truth.rotation)
        zero = torch.zeros_like(placement.roll)
        rotation = rotation_from_angles(torch.stack([zero, zero, placement.roll], -1)) @ rotation
        marks = torch.where(mirrored[:, None, None], truth.points[:, self._mirrored_points], truth.points)
        place = placement.move(truth.camera.translation[:, None])[:, 0]
        camera = Camera(angles_from_rotation(rotation), truth.camera.scale * placement.zoom, place)
        return FittedFaces(camera, rotation, shape, expression, placement.move(marks), truth.deviation, truth.spread)

    def _head(self, faces: FittedFaces) -> Tensor:
        """(B, V, 3) vertices of faces, metres."""
        moved = torch.einsum("bs,svc->bvc", faces.shape, self._shape_basis)
        return self._mean + moved + torch.einsum("be,evc->bvc", faces.expression, self._expression_basis)

    def _model_landmarks(self, faces: FittedFaces, pose: FittedFaces) -> Tensor:
        """(B, 68, 3) landmarks of faces in the image frame; the jaw's are those of another face's pose."""
        points = self._landmarks.points(torch.cat([faces.shape, faces.expression], 1))
        chosen = self._landmarks.choose(points, pose.camera.angles)
        return _project(points.gather(1, chosen[..., None].expand(-1, -1, 3)), faces)


def _truth(batch: Tensors) -> FittedFaces:
    camera = Camera.from_row(batch["pose"], batch["camera"])
    rotation = rotation_from_angles(batch["pose"])
    points = torch.cat([batch["landmarks_3d"][..., :2], batch["dense_landmarks"].reshape(len(rotation), -1, 2)], 1)
    certain = torch.zeros_like(points[..., 0])
    return FittedFaces(camera, rotation, batch["shape"], batch["expression"], points, certain, certain[:, 0])


def _project(points: Tensor, faces: FittedFaces) -> Tensor:
    """Like `Camera.project`, by the rotation itself: angles have no gradient at their limits."""
    axes = points.new_tensor(MODEL_TO_IMAGE_AXES)
    turned = (points @ faces.rotation.mT) * axes * faces.camera.scale[:, None, None]
    return turned + functional.pad(faces.camera.translation, (0, 1))[:, None, :]


def _distance(found: Tensor, truth: Tensor) -> Tensor:
    return (found - truth).norm(dim=-1).mean()

"""Where dlib's 68 landmarks lie on the face model: found on rendered heads, corrected on real portraits.

One rendered head gives biased places, so the points are the median over many random people, expressions and poses. A
predictor that learnt from photos still sees painted heads a little differently; what is systematic in its residuals
on real portraits is taken out by moving the points.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import dlib
import numpy as np
import torch
from scipy.spatial import cKDTree

from facerecon_ray.errors import AssetError, InputError, PhotoError
from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS, REGIONS, FaceModel
from facerecon_ray.geometry.fitting import LandmarkFitter, box_size
from facerecon_ray.geometry.landmarks import MIRRORED_LANDMARKS, projected_landmarks
from facerecon_ray.geometry.point_noise import PointNoise
from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES, Camera, rotation_from_angles
from facerecon_ray.geometry.rasterizer import interpolate, rasterize
from facerecon_ray.networks.dlib_models import installed_model
from facerecon_ray.networks.landmark_predictor import DEFAULT_MODEL
from facerecon_ray.storage.input_files import is_hidden
from facerecon_ray.storage.photos.photo_file import UNSCALED, decode_photo
from facerecon_ray.synthesis.model_building.head_rendering import HeadRenderer, frontal_camera

PATH_POINTS = 12
"""Points of the path on which a jaw landmark slides."""

PATH_END = 0.35
"""How far a path goes: to this share of the angle that its frontal end has around the head's axis."""

RENDER_SIZE = 288

PLACING_POSES = (7.0, 6.0, 4.0)
NOISE_POSES = (18.0, 8.0, 6.0)
"""Standard deviations of yaw, pitch and roll in degrees of the heads that landmarks are placed and measured on."""

GROSS_ERROR = 0.08
"""Mean error over the box size above which a prediction is a miss, not noise."""

NOISE_FLOOR = 0.002
"""Standard deviation of a landmark that is added to the measured noise, which a limited number of heads underrates."""

CORRECTION_ROUNDS, CORRECTION_STEP = 5, 0.7

BROWS = slice(17, 27)
"""What raised brows explain as well as wrong places do: their own correction is from fits that do not see them."""

LANDMARK_FIELDS = ("landmark_corners", "landmark_weights", "contour_corners", "contour_weights")

UNSEEN = 4.0
"""Variance of a landmark that does not count, in squared shares of the box size."""


@dataclass(frozen=True)
class SurfaceSamples:
    """Points spread densely over the mean face, to find the surface point nearest to a place."""

    points: np.ndarray
    corners: np.ndarray
    weights: np.ndarray
    tree: cKDTree

    @staticmethod
    def of(model: FaceModel, count: int = 400_000) -> "SurfaceSamples":
        """Sample the face and what surrounds it, evenly by area, always the same points; nothing between the lips."""
        rng = np.random.default_rng(0)
        without = torch.tensor([REGIONS.index(name) for name in ("scalp", "mouth")], dtype=torch.uint8)
        allowed = torch.isin(model.regions, without).logical_not()
        triangles = model.triangles[allowed[model.triangles].all(1)].numpy()
        mean = model.mean.numpy()
        a, b, c = (mean[triangles[:, k]] for k in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        chosen = rng.choice(len(triangles), count, p=area / area.sum())
        r1, r2 = np.sqrt(rng.random(count)), rng.random(count)
        weights = np.stack([1 - r1, r1 * (1 - r2), r1 * r2], axis=1)
        points = np.einsum("nkc,nk->nc", mean[triangles[chosen]], weights)
        return SurfaceSamples(points, triangles[chosen], weights.astype(np.float32), cKDTree(points))

    def nearest(self, places: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Corners (..., 3) and barycentric weights (..., 3) of the surface points nearest to places (..., 3)."""
        index = self.tree.query(places)[1]
        return torch.from_numpy(self.corners[index]), torch.from_numpy(self.weights[index])


def place_landmarks(model: FaceModel, heads: int, rng: np.random.Generator) -> FaceModel:
    """Find the landmarks on rendered heads and give the model its landmarks and jaw paths.

    Parameters
    ----------
    model : a face model without landmarks
    heads : number of rendered heads
    rng : decides who they are
    """
    places = [_pointed_at(model, head) for head in _photographed_heads(model, heads, PLACING_POSES, rng)]
    middle = np.nanmedian(np.stack(places), axis=0)
    return with_landmarks(model, _symmetric(middle), SurfaceSamples.of(model))


def with_landmarks(model: FaceModel, places: np.ndarray, samples: SurfaceSamples) -> FaceModel:
    """Give the model the landmarks nearest to places (68, 3) on the mean head, metres."""
    corners, weights = samples.nearest(places[CONTOUR_LANDMARKS:])
    contour_corners, contour_weights = samples.nearest(_jaw_paths(places[:CONTOUR_LANDMARKS]))
    return replace(
        model,
        landmark_corners=corners,
        landmark_weights=weights,
        contour_corners=contour_corners,
        contour_weights=contour_weights,
    )


def landmarks_of_another(model: FaceModel, other: FaceModel) -> FaceModel:
    """Give the model the landmarks of another one of its mesh: the same points of the skin, with their noise.

    Parameters
    ----------
    model : a face model without landmarks
    other : one with landmarks

    Raises
    ------
    AssetError
        when its mesh is another one
    """
    mouth = int((model.regions == REGIONS.index("mouth")).sum())
    if len(other.mean) not in (len(model.mean), len(model.mean) - mouth):
        raise AssetError(
            f"the landmarks of one with {len(other.mean)} vertices do not fit a model with {len(model.mean)}; "
            "use one that `facerecon model build` made"
        )
    there = {name: getattr(other, name) for name in LANDMARK_FIELDS}
    places = _symmetric(landmark_places(replace(model, **there)))
    return replace(with_landmarks(model, places, SurfaceSamples.of(model)), landmark_noise=other.landmark_noise)


def correct_landmarks(model: FaceModel, landmarks: np.ndarray) -> FaceModel:
    """Move the model's landmarks by what is systematic in the residuals of fits to people.

    Parameters
    ----------
    model : a face model with landmarks
    landmarks : (B, 68, 2) float32 what a predictor sees on near-frontal people, pixels; see `portrait_landmarks`
    """
    found = torch.from_numpy(landmarks)
    samples = SurfaceSamples.of(model)
    places = landmark_places(model)
    for _ in range(CORRECTION_ROUNDS):
        shift = _usual_residual(model, found, model.landmark_noise)
        shift[BROWS] = _usual_residual(model, found, _without_brows(model.landmark_noise))[BROWS]
        places = _symmetric(places + CORRECTION_STEP * shift)
        model = with_landmarks(model, places, samples)
        places = landmark_places(model)
    return model


def _usual_residual(model: FaceModel, landmarks: torch.Tensor, noise: torch.Tensor) -> np.ndarray:
    """(68, 3) metres on the head by which landmarks (B, 68, 2) usually lie beside those of fits to them."""
    fit = LandmarkFitter(model, PointNoise.of_covariance(noise))(landmarks)
    near_frontal = (fit.camera.angles[:, 0].abs() < 15) & (fit.error < 0.05)
    residual = torch.nn.functional.pad(landmarks - fit.projected[..., :2], (0, 1))
    metres = residual * residual.new_tensor(MODEL_TO_IMAGE_AXES) / fit.camera.scale[:, None, None]
    return (metres @ rotation_from_angles(fit.camera.angles))[near_frontal].median(0).values.numpy()


def _without_brows(noise: torch.Tensor) -> torch.Tensor:
    """(136, 136) covariance under which the brows' landmarks say nothing."""
    blind = noise.clone()
    values = slice(2 * BROWS.start, 2 * BROWS.stop)
    blind[values], blind[:, values] = 0.0, 0.0
    blind[values, values] = UNSEEN * torch.eye(values.stop - values.start)
    return blind


def measure_noise(model: FaceModel, heads: int, rng: np.random.Generator) -> torch.Tensor:
    """Second moments of dlib's errors on rendered heads: what is systematic there counts as noise.

    Parameters
    ----------
    model : a face model with landmarks
    heads : number of rendered heads
    rng : decides who they are

    Returns
    -------
    (136, 136) float32, in squared shares of the landmarks' box size, x before y for each landmark
    """
    errors = []
    for head in _photographed_heads(model, heads, NOISE_POSES, rng):
        truth = projected_landmarks(model, head.vertices, head.camera)[0, :, :2]
        error = (torch.from_numpy(head.found) - truth).numpy() / float(box_size(truth))
        if np.linalg.norm(error, axis=1).mean() < GROSS_ERROR:
            errors += [error, error[MIRRORED_LANDMARKS] * [-1.0, 1.0]]
    flat = np.stack(errors).reshape(len(errors), -1)
    moments = flat.T @ flat / len(flat) + NOISE_FLOOR**2 * np.eye(flat.shape[1])
    return torch.from_numpy(moments.astype(np.float32))


def landmark_places(model: FaceModel) -> np.ndarray:
    """(68, 3) places of the landmarks on the mean head in a frontal view, metres."""
    corners = torch.cat([model.contour_corners[:, 0], model.landmark_corners])
    weights = torch.cat([model.contour_weights[:, 0], model.landmark_weights])
    return torch.einsum("qkc,qk->qc", model.mean[corners], weights).numpy()


def _jaw_paths(places: np.ndarray) -> np.ndarray:
    """(17, P, 3) places from each frontal jaw landmark (17, 3) inwards around the head's axis, at the same height."""
    share = np.linspace(1.0, PATH_END, PATH_POINTS)[None, :, None]
    axis = np.array([0.0, 0.0, -0.05])
    from_axis = places[:, None] - axis
    angle = np.arctan2(from_axis[..., 0], from_axis[..., 2])[..., None] * share
    radius = np.hypot(from_axis[..., 0], from_axis[..., 2])[..., None]
    height = np.broadcast_to(places[:, None, 1:2], angle.shape)
    return np.concatenate([radius * np.sin(angle), height, radius * np.cos(angle)], axis=-1) + axis


def _symmetric(places: np.ndarray) -> np.ndarray:
    return (places + places[MIRRORED_LANDMARKS] * [-1.0, 1.0, 1.0]) / 2


@dataclass(frozen=True)
class _PhotographedHead:
    """A random head under its camera (a batch of one) and dlib's landmarks (68, 2) in its picture, pixels."""

    vertices: torch.Tensor
    camera: Camera
    found: np.ndarray


def _photographed_heads(
    model: FaceModel, count: int, poses: tuple[float, float, float], rng: np.random.Generator
) -> Iterator[_PhotographedHead]:
    """Random people in random poses, those of `count` in whose picture dlib finds one face."""
    predictor = dlib.shape_predictor(str(installed_model(DEFAULT_MODEL)))
    detector = dlib.get_frontal_face_detector()
    render = HeadRenderer(model)
    for _ in range(count):
        shape = torch.from_numpy(rng.normal(0.0, 1.0, (1, model.shape_size)).astype(np.float32))
        expression = torch.from_numpy(rng.exponential(0.25, (1, model.expression_size)).astype(np.float32))
        vertices = model.vertices(shape, expression.clamp(max=1.5))
        camera = frontal_camera(torch.from_numpy(rng.normal(0.0, [poses]).astype(np.float32)), RENDER_SIZE)
        picture = render(vertices, camera, RENDER_SIZE, rng)
        boxes = detector(picture, 0)
        if len(boxes) == 1:
            found = [(point.x + 0.5, point.y + 0.5) for point in predictor(picture, boxes[0]).parts()]
            yield _PhotographedHead(vertices, camera, np.array(found, np.float32))


def _pointed_at(model: FaceModel, head: _PhotographedHead) -> np.ndarray:
    """(68, 3) places on the mean head that the landmarks of a picture point at, nan where they miss the face."""
    points = head.camera.project(head.vertices)
    fragments = rasterize(points, model.triangles, RENDER_SIZE, RENDER_SIZE, cull_back=True)
    place = interpolate(fragments, model.triangles, model.mean[None])[0].numpy()
    region = model.regions[model.triangles].amax(1)[fragments.triangle[0].clamp(min=0)].numpy()
    on_face = (fragments.triangle[0] >= 0).numpy() & (region >= REGIONS.index("skin"))
    pixels = np.argwhere(on_face)[:, ::-1] + 0.5
    distance, index = cKDTree(pixels).query(head.found)
    column, row = (pixels[index] - 0.5).astype(int).T
    places = place[row, column]
    places[distance > 0.03 * RENDER_SIZE] = np.nan
    return places


def portrait_landmarks(folder: Path) -> np.ndarray:
    """(B, 68, 2) float32 dlib's landmarks of the portraits with one face, pixels.

    Raises
    ------
    InputError
        when there is no such folder, or it has fewer than 50 portraits in which a face is found
    """
    predictor = dlib.shape_predictor(str(installed_model(DEFAULT_MODEL)))
    detector = dlib.get_frontal_face_detector()
    rows = []
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; one with portraits was expected")
    for path in sorted(path for path in folder.iterdir() if not is_hidden(path.name)):
        try:
            picture = decode_photo(path.read_bytes(), UNSCALED).pixels
        except (OSError, PhotoError):
            continue
        larger = cv2.resize(picture, None, fx=2.0, fy=2.0, interpolation=cv2.INTER_CUBIC)
        boxes = detector(larger, 0)
        if len(boxes) == 1:
            rows.append([(p.x + 0.5, p.y + 0.5) for p in predictor(larger, boxes[0]).parts()])
    if len(rows) < 50:
        raise InputError(f"{folder}: faces were found in {len(rows)} portraits, at least 50 are needed")
    landmarks = np.array(rows, np.float32)
    size = box_size(torch.from_numpy(landmarks)).numpy()
    return landmarks[size > 0]

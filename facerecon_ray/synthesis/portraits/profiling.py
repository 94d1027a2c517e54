"""Face profiling: near-frontal photos turned to larger yaws, with their own texture and what lies behind the face.

The idea is of Zhu, Lei, Liu, Shi, Li, Face Alignment Across Large Poses: A 3D Solution (CVPR 2016), section 4, where
one mesh over the photo, face and surroundings, is turned. Here the fitted head is turned, as the rotate stage does it,
before a sheet that holds the rest of the photo: near the head the sheet turns along, with hair and neck; further away
it stays, and in between it stretches, so that it has no holes. What the photo does not see of the face is taken from
its mirrored side, the back of the head from the hair above the forehead.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from scipy.spatial import Delaunay
from torch import Tensor
from torch.nn import functional

from facerecon_ray.config.photos import ProfilingSettings
from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.box_means import mean_around
from facerecon_ray.geometry.face_model import REGIONS, FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import weighted_gather
from facerecon_ray.geometry.rasterizer import Fragments, interpolate, rasterize
from facerecon_ray.geometry.turned_view import DEPTH_TOLERANCE, GRAZING, facing_camera, look_up_colours, recentred
from facerecon_ray.geometry.view_filling import spread_colours
from facerecon_ray.synthesis.portraits.photo_fit import FittedPhoto, PhotoFitter

PICTURE_SIZE = 400
FACE_SHARE = 0.36
"""Width and height of the pictures in pixels, and the share of them that the landmarks' box takes."""

SHEET_CELLS = 50
SHEET_DEPTH = -0.03
"""The sheet's squares along each side, and where it stands in the head: metres before the model's origin."""

TURNING_REACH, STAYING_REACH = 0.02, 0.16
"""Metres from the head's outline in the photo up to which the sheet turns with the head, and from which it stays."""

MOST_SHEET_YAW = 55.0
"""The sheet turns no further: it would be seen edge on."""

MOST_YAW = 90.0

OUTLINE = 0.42
"""Cosine of the angle between normal and line of sight below which a photo's pixel does not count: where the fitted
head is wider than the real one, the photo shows the background there."""

HAIR_SIDES, HAIR_HEIGHTS, HAIR_RADIUS = 0.040, (0.098, 0.120), 0.08
"""The patch of hair that repeats over the back of the head: its half width and its heights on the mean head in metres,
and the radius at which it lies around the head's axis."""

EAR_CONTRAST, HAIR_CONTRAST = 0.4, (0.15, 0.35)
"""Natural logarithm of the ratio to the face's brightness from which a pixel at an ear is hair or background, and at
which one above the forehead begins to count as hair and surely is."""

HEAD_AXIS = -0.05
"""Depth of the vertical axis through the middle of the mean head, metres."""


@dataclass(frozen=True, eq=False)
class HairSource:
    """For each of N vertices a point in the patch above the forehead, which repeats, mirrored, all around the head.

    corners  (N, 3) int64 vertices around the point
    weights  (N, 3) their barycentric weights
    """

    corners: Tensor
    weights: Tensor

    @staticmethod
    def of(model: FaceModel) -> "HairSource":
        """Lay the patch around a model's mean head."""
        x, y, z = model.mean.numpy().astype(np.float64).T
        low, high = HAIR_HEIGHTS
        near = np.flatnonzero((np.abs(x) < HAIR_SIDES + 0.02) & (np.abs(y - 0.109) < 0.028) & (z > HEAD_AXIS))
        around = np.arctan2(x, z - HEAD_AXIS) * HAIR_RADIUS
        across = np.abs((around + HAIR_SIDES) % (4 * HAIR_SIDES) - 2 * HAIR_SIDES) - HAIR_SIDES
        height = np.abs((y - low) % (2 * (high - low)) - (high - low)) + low
        places = np.stack([across, height], 1)
        mesh = Delaunay(np.stack([x, y], 1)[near])
        simplex = mesh.find_simplex(places)
        if (simplex < 0).any():
            raise AssetError(
                "the face model has no scalp above the forehead; use one that `facerecon model build` made"
            )
        matrix = mesh.transform[simplex]
        first = np.einsum("nij,nj->ni", matrix[:, :2], places - matrix[:, 2])
        weights = np.concatenate([first, 1.0 - first.sum(1, keepdims=True)], 1)
        corners = near[mesh.simplices[simplex]]
        return HairSource(torch.from_numpy(corners), torch.from_numpy(weights.astype(np.float32)))


@dataclass(frozen=True, eq=False)
class ProfiledView:
    """A photo's face at another yaw.

    image     (S, S, 3) uint8 RGB
    vertices  (N, 3) float32 image frame, pixels of the image: the face model's vertices, the pseudo-truth
    pose      (3,) yaw, pitch, roll in degrees
    camera    that shows the head in the image
    visible_share   share of the face's pixels that the photo saw, 0 to 1
    """

    image: np.ndarray
    vertices: np.ndarray
    pose: np.ndarray
    camera: Camera
    visible_share: float


@dataclass(frozen=True, eq=False)
class ProfiledPhoto:
    """A fitted photo, ready to be turned.

    model      the face model that was fitted
    picture    (1, 3, S, S) float32 0 to 255, the square around the face
    sheet      (1, 3, S, S) the same without the head
    head       (1, N, 3) metres, the fit that meets the landmarks
    camera     that shows the head in the picture
    closeness  (C + 1, C + 1) 1 where the sheet turns with the head, 0 where it stays
    hair_source   what scalp looks like that nothing shows
    """

    model: FaceModel
    picture: Tensor
    sheet: Tensor
    head: Tensor
    camera: Camera
    closeness: Tensor
    hair_source: HairSource

    @staticmethod
    def of(model: FaceModel, hair_source: HairSource, photo: FittedPhoto) -> "ProfiledPhoto":
        """Cut the square around the face and take the head out of it."""
        low, high = photo.landmarks.min(0), photo.landmarks.max(0)
        scale = FACE_SHARE * PICTURE_SIZE / float((high - low).max())
        shift = PICTURE_SIZE / 2 - scale * (low + high) / 2
        pixels = _resample(photo.pixels, scale, shift)
        picture = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
        camera = photo.camera.in_picture(scale, torch.from_numpy(shift).float())
        points = photo.vertices * scale + functional.pad(torch.from_numpy(shift).float(), (0, 1))
        fragments = rasterize(points[None], model.closed_triangles, PICTURE_SIZE, PICTURE_SIZE, cull_back=True)
        outside = (~fragments.mask[:, None]).float()
        away = cv2.distanceTransform(outside[0, 0].byte().numpy(), cv2.DIST_L2, 5) / float(camera.scale)
        # Pixels at the outline show some of the face, which must not spread.
        clear = torch.from_numpy(away > 0.004)[None, None].float()
        sheet = picture * clear + spread_colours(picture * clear, clear) * (1 - clear)
        share = ((STAYING_REACH - away) / (STAYING_REACH - TURNING_REACH)).clip(0.0, 1.0)
        smooth = torch.from_numpy(share * share * (3 - 2 * share))[None, None].float()
        size = SHEET_CELLS + 1
        closeness = functional.interpolate(smooth, size=(size, size), mode="bilinear", align_corners=True)[0, 0]
        head = camera.unproject(points[None])
        return ProfiledPhoto(model, picture, sheet, head, camera, closeness, hair_source)

    @torch.no_grad()
    def turned(self, angles: tuple[float, float, float]) -> ProfiledView:
        """The face at another yaw, pitch and roll in degrees."""
        wanted = torch.tensor([angles])
        points = self.camera.project(self.head)
        face = self.model.face_vertices
        camera = recentred(self.camera, wanted, self.head[:, face], points[:, face])
        turned = camera.project(self.head)
        fragments = rasterize(turned, self.model.closed_triangles, PICTURE_SIZE, PICTURE_SIZE, cull_back=True)
        colours, known, seen = self._colours(fragments, points)
        head = colours + spread_colours(colours, known) * (1 - known)
        cover = mean_around(fragments.mask[:, None].float(), 1)
        blended = (head * cover + self._turned_sheet(camera) * (1 - cover))[0].permute(1, 2, 0)
        image = blended.round().clamp(0, 255).byte().numpy()
        shown = fragments.mask & torch.isin(fragments.triangle, self.model.face_triangles)
        visible = float((seen[:, 0] * shown).sum() / shown.sum().clamp(min=1))
        return ProfiledView(image, turned[0].numpy(), wanted[0].numpy(), camera, visible)

    def _colours(self, turned: Fragments, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Colours of the head (1, 3, S, S) times how well they are known (1, 1, S, S), and how well they are seen."""
        triangles = self.model.closed_triangles
        photo = rasterize(points, triangles, PICTURE_SIZE, PICTURE_SIZE, cull_back=True)
        values = torch.cat([points, facing_camera(points, triangles) + (GRAZING - OUTLINE)], -1)
        tolerance = DEPTH_TOLERANCE * self.camera.scale
        on_scalp, on_ears = (self._on_region(turned, name) for name in ("scalp", "ears"))
        usual = self.picture.mean(1, keepdim=True)[self._on_region(photo, "skin") > 0.5].median()
        total, known = torch.zeros_like(self.picture), torch.zeros_like(self.picture[:, :1])
        shares = []
        hair = weighted_gather(values, self.hair_source.corners, self.hair_source.weights)
        for source, borrowed in ((values, False), (values[:, self.model.mirror], False), (hair, True)):
            origin = interpolate(turned, triangles, source)
            colours, seen = look_up_colours(self.picture, photo, origin, tolerance)
            contrast = torch.log((colours.mean(1, keepdim=True) + 5.0) / (usual + 5.0)).abs()
            shares.append(seen * turned.mask[:, None] * (1 - on_ears * (contrast > EAR_CONTRAST)))
            is_hair = ((contrast - HAIR_CONTRAST[0]) / (HAIR_CONTRAST[1] - HAIR_CONTRAST[0])).clamp(0, 1)
            share = shares[-1] * (on_scalp * is_hair if borrowed else 1.0) * (1 - known)
            total, known = total + colours * share, known + share
        return total, known, shares[0]

    def _on_region(self, fragments: Fragments, name: str) -> Tensor:
        """(1, 1, S, S) share of a region of the face model at each pixel."""
        inside = (self.model.regions == REGIONS.index(name)).float()[:, None]
        return interpolate(fragments, self.model.closed_triangles, inside).permute(0, 3, 1, 2)

    def _turned_sheet(self, turned: Camera) -> Tensor:
        """(1, 3, S, S) the surroundings of the head in a view."""
        side = torch.linspace(0, PICTURE_SIZE, SHEET_CELLS + 1)
        y, x = torch.meshgrid(side, side, indexing="ij")
        depth = torch.full_like(x, SHEET_DEPTH * float(self.camera.scale))
        flat = torch.stack([x, y, depth], -1).flatten(0, 1)[None]
        change = (turned.angles - self.camera.angles).clamp(-MOST_SHEET_YAW, MOST_SHEET_YAW)
        rotating = replace(turned, angles=self.camera.angles + change)
        moved = rotating.project(self.camera.unproject(flat))
        share = self.closeness.flatten()[None, :, None]
        points = flat + (moved - flat) * share
        # A wide border keeps the picture covered where the sheet has moved inwards.
        points = torch.where(self._border()[None, :, None], flat + (flat - PICTURE_SIZE / 2) * 0.5, points)
        triangles = _grid_triangles(SHEET_CELLS)
        fragments = rasterize(points, triangles, PICTURE_SIZE, PICTURE_SIZE)
        places = interpolate(fragments, triangles, flat[..., :2].contiguous())
        grid = 2 * places / PICTURE_SIZE - 1
        colours = functional.grid_sample(self.sheet, grid, padding_mode="border", align_corners=False)
        return torch.where(fragments.mask[:, None], colours, self.sheet)

    def _border(self) -> Tensor:
        outer = torch.ones(SHEET_CELLS + 1, SHEET_CELLS + 1, dtype=torch.bool)
        outer[1:-1, 1:-1] = False
        return outer.flatten()


class FaceProfiler:
    """Turns near-frontal photos.

    Parameters
    ----------
    settings : which photos, and which yaws
    model : the face model that is fitted
    """

    def __init__(self, settings: ProfilingSettings, model: FaceModel) -> None:
        self._settings, self._model = settings, model
        self._fit = PhotoFitter(settings.fit, model)
        self._hair_source = HairSource.of(model)

    def photo(self, data: bytes) -> ProfiledPhoto:
        """Fit one photo, given as the contents of its file.

        Raises
        ------
        PhotoError
            when the photo is of no use, and why
        """
        return ProfiledPhoto.of(self._model, self._hair_source, self._fit(data))

    def views(self, photo: ProfiledPhoto, rng: np.random.Generator) -> Iterator[ProfiledView]:
        """The photo at each of the settings' yaws, with its own pitch and roll."""
        yaw, pitch, roll = photo.camera.angles[0].tolist()
        either = abs(yaw) < self._settings.either_side
        side = (-1.0 if rng.random() < 0.5 else 1.0) if either else float(np.sign(yaw))
        for wanted in self._settings.yaws:
            noise = rng.uniform(-self._settings.yaw_noise, self._settings.yaw_noise)
            yield photo.turned((side * min(wanted + noise, MOST_YAW), pitch, roll))


def _resample(pixels: np.ndarray, scale: float, shift: np.ndarray) -> np.ndarray:
    """(S, S, 3) the photo enlarged by scale and then moved; its border goes on beyond it."""
    fine = max(1, int(np.ceil(1.0 / scale)))
    # OpenCV puts pixel centres at whole numbers.
    offset = fine * (scale / 2 + shift) - 0.5
    matrix = np.array([[scale * fine, 0.0, offset[0]], [0.0, scale * fine, offset[1]]])
    size = (PICTURE_SIZE * fine, PICTURE_SIZE * fine)
    flags = cv2.INTER_CUBIC if scale > 1.0 else cv2.INTER_LINEAR
    large = cv2.warpAffine(pixels, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(large, (PICTURE_SIZE, PICTURE_SIZE), interpolation=cv2.INTER_AREA) if fine > 1 else large


def _grid_triangles(cells: int) -> Tensor:
    """(2 C^2, 3) two triangles for each square of a grid of (C + 1)^2 points in rows."""
    number = torch.arange((cells + 1) ** 2).view(cells + 1, cells + 1)
    a, b, c, d = (part.flatten() for part in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]))
    return torch.cat([torch.stack([a, c, b], 1), torch.stack([b, c, d], 1)])

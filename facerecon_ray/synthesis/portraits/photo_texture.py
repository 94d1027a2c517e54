"""Skin textures from photos: what a fitted photo shows of the skin, free of its light, completed over the whole head.

The texture holds relative reflectance: linear light, 1 where the skin is as bright as its median. Colours are given
to it when it is drawn, see `photo_colouring`.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from facerecon_ray.config.photos import PhotoTextureSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.face_model import REGIONS, FaceModel
from facerecon_ray.geometry.rasterizer import rasterize
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.synthesis.people.head_geometry import TEXTURE_SIZE
from facerecon_ray.synthesis.portraits.face_zones import FaceZones
from facerecon_ray.synthesis.portraits.photo_fit import FittedPhoto
from facerecon_ray.synthesis.portraits.photo_glasses import FrameDetector
from facerecon_ray.synthesis.portraits.photo_light import estimate_light, shading
from facerecon_ray.synthesis.portraits.skin_layout import SkinLayout

FACE_PIXELS = 280
"""Larger faces are scaled down to this many pixels: the atlas gives a face about 250 texels."""

DEPTH_TOLERANCE = 0.006
"""Metres by which a point may lie behind the surface that the photo shows at its pixel and still count as seen."""

GRAZING, FACING = 0.30, 0.62
"""Cosine of the angle between normal and line of sight at which a texel begins to count, and counts fully."""

LID_MARGIN, LIP_MARGIN = (0.0010, 0.0022), (0.0004, 0.0012)
"""Metres from the eyes' and the mouth's opening within which the photo may show eyeball or teeth instead of skin:
nothing counts up to the first, all from the second."""

EYE_SURROUNDINGS, MOUTH_SURROUNDINGS = 0.010, 0.008
"""Metres around the eyes and the mouth that do not tell the light: lashes, lids and lips are no plain skin."""

SKIN_LIKE = (0.25, 0.45)
"""Deviation (natural logarithm) from the skin's brightness up to which a texel outside the inner face surely counts
as skin, and from which it surely is hair, cloth or background."""

BEARD = 0.72
"""Median luminance of the chin and the upper lip below which they carry a beard, which may be as dark as it is."""

SHADOWED = 0.62
"""Luminance below which plain skin of the upper face counts as shadowed."""

SHINE = (1.15, 0.4)
"""Reflectance above the first is shine and is reduced to this share of its excess."""

LID_RANGE, LID_REACH = (0.5, 1.15), (0.003, 0.008)
"""Luminance that skin beside the eyes can have: what is darker or brighter are lashes and eyeball. It holds fully up
to the first distance from the eye, in metres, and no longer from the second."""

FORGETTING = 0.004
"""How fast the completed texture returns to plain skin away from what was seen: larger is faster."""

COLOURLESS = 0.02
"""Mean saturation of a face below which its photo is called greyscale."""

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
GAMMA = 2.2


@dataclass(frozen=True, eq=False)
class RelativeTexture:
    """A photo's skin texture without light and tone.

    reflectance  (512, 512, 3) float32 linear, luminance 1 at the skin's median
    known        (512, 512) float32 0 to 1, how much of it the photo shows, itself or on the mirrored side
    tone         (3,) float32 linear colour of the photo's skin, 0 to 1
    coloured     false where the photo is greyscale or toned
    """

    reflectance: np.ndarray
    known: np.ndarray
    tone: np.ndarray
    coloured: bool


class TextureTaker:
    """Takes skin textures from fitted photos.

    Parameters
    ----------
    model : the face model that was fitted
    layout : of the skin's atlas
    settings : which photos are refused
    """

    def __init__(self, model: FaceModel, layout: SkinLayout, settings: PhotoTextureSettings) -> None:
        self._model, self._layout, self._settings = model, layout, settings
        self._frames, self._zones = FrameDetector(layout), FaceZones.of(layout)
        place = layout.place
        self._plain_skin = (layout.to_eye > EYE_SURROUNDINGS) & (layout.to_mouth > MOUTH_SURROUNDINGS)
        self._plain_skin &= layout.region == REGIONS.index("skin")
        self._plain_skin &= (place[:, 1] < 0.045) | (np.abs(place[:, 0]) < 0.02)
        self._inner = _ramp(0.068 - place[:, 1], 0.0, 0.006) * _ramp(0.066 - np.abs(place[:, 0]), 0.0, 0.010)
        self._inner *= _ramp(place[:, 1] + 0.088, 0.0, 0.008)
        margin = _ramp(layout.to_eye, *LID_MARGIN) * _ramp(layout.to_mouth, *LIP_MARGIN)
        excluded = np.isin(layout.region, [REGIONS.index("ears"), REGIONS.index("neck")])
        self._usable = margin * ~excluded
        row, column = np.nonzero(layout.shown.numpy())
        self._middle = int(row[self._inner > 0.5].mean()), int(column[self._inner > 0.5].mean())
        self._edges = _edge_matrix(layout.triangles, len(model.mean))

    def __call__(self, photo: FittedPhoto, rng: np.random.Generator) -> RelativeTexture:
        """Take the texture of one photo; rng decides the grain of the skin that the photo does not show.

        Raises
        ------
        PhotoError
            when the photo shows too little of the face's skin, hard shadows, or glasses
        """
        pixels, points, scale = _normalised(photo)
        linear = (pixels.astype(np.float32) / 255.0) ** GAMMA
        triangles = self._layout.triangles
        normals = vertex_normals(points[None], triangles)[0]
        fragments = rasterize(points[None], self._model.triangles, pixels.shape[0], pixels.shape[1], cull_back=True)
        depth = fragments.depth[0].numpy()
        seen, mirrored = (
            self._look_up(linear, depth, points, normals, DEPTH_TOLERANCE * scale, side) for side in (False, True)
        )
        chosen = self._plain_skin & (seen.weight > 0.5)
        light = estimate_light(seen.normal[chosen], seen.luminance[chosen])
        if light is None:
            raise PhotoError("too little of the face's skin is seen")
        tone = np.median(seen.colours[chosen], axis=0)
        reflectance = seen.reflectance(light) @ LUMINANCE
        shadowed = float((reflectance < SHADOWED)[self._zones.upper & (seen.weight > 0.5)].mean())
        if shadowed > self._settings.most_shadow:
            raise PhotoError(f"the face has hard shadows ({shadowed:.0%} of it)")
        chin = reflectance[self._zones.beard & (seen.weight > 0.5)]
        floor = self._zones.floor(bearded=bool(len(chin)) and float(np.median(chin)) < BEARD)
        own, other = (self._as_skin(part.reflectance(light), floor) for part in (seen, mirrored))
        merged, known = self._merge(own, other, seen, mirrored)
        complete = self._complete(merged, known, rng)
        values = self._layout.picture(complete)
        contrast = self._frames(values @ LUMINANCE)
        if contrast > self._settings.most_frame_contrast:
            raise PhotoError(f"the face wears glasses (contrast {contrast:.2f})")
        return RelativeTexture(values, self._layout.picture(known[:, None])[..., 0], tone, _is_coloured(tone))

    def _look_up(
        self, linear: np.ndarray, depth: np.ndarray, points: Tensor, normals: Tensor, tolerance: float, mirrored: bool
    ) -> "_Seen":
        values = self._layout.over_texels(torch.cat([points, normals], 1), mirrored).numpy()
        grid = self._layout.picture(values[:, :2]) - np.float32(0.5)
        shown = self._layout.shown.numpy()
        colours = cv2.remap(linear, grid, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)[shown].clip(0.0)
        height, width = depth.shape
        column, row = np.floor(values[:, :2]).astype(int).T
        inside = (column >= 1) & (column < width - 1) & (row >= 1) & (row < height - 1)
        surface = depth[row.clip(0, height - 1), column.clip(0, width - 1)]
        normal = values[:, 3:] / np.linalg.norm(values[:, 3:], axis=1, keepdims=True).clip(1e-6)
        weight = _ramp(normal[:, 2], GRAZING, FACING) * inside * (values[:, 2] > surface - tolerance)
        return _Seen(colours, normal, (weight * self._usable).astype(np.float32))

    def _as_skin(self, reflectance: np.ndarray, floor: np.ndarray) -> np.ndarray:
        """Reflectance (P, 3) without shine, shadows below a floor (P,), and lashes and eyeball on the lids."""
        luminance = (reflectance @ LUMINANCE).clip(1e-3)
        limit, share = SHINE
        matt = np.where(luminance > limit, limit + (luminance - limit) * share, luminance)
        matt = (matt**4 + floor**4) ** 0.25
        near_eye = 1.0 - _ramp(self._layout.to_eye, *LID_REACH)
        matt = matt + (matt.clip(*LID_RANGE) - matt) * near_eye
        return np.asarray(reflectance * (matt / luminance)[:, None])

    def _merge(
        self, own: np.ndarray, other: np.ndarray, seen: "_Seen", mirrored: "_Seen"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Texels' values (P, 3) multiplied by their weight, and the weight (P,): the photo, else its mirrored side."""
        own_weight, other_weight = (
            self._softened(part.weight * self._connected(_skin_likeness(values)))
            for part, values in ((seen, own), (mirrored, other))
        )
        other_weight = (1.0 - own_weight) * other_weight
        return own * own_weight[:, None] + other * other_weight[:, None], own_weight + other_weight

    def _connected(self, skin_like: np.ndarray) -> np.ndarray:
        """Likeness (P,) that counts only as far as it lasts on the way from the inner face upwards and outwards.

        The openings of eyes and mouth, which are no skin, lie on the way to brows, temples and cheeks and end nothing.
        """
        shown = self._layout.shown.numpy()
        likeness = np.maximum(self._inner, skin_like)
        whole = np.where(shown, self._layout.picture(likeness[:, None])[..., 0], np.float32(1.0))
        picture = cv2.erode(whole, np.ones((3, 3)))
        picture = np.maximum(picture, self._layout.picture(self._inner[:, None])[..., 0])
        middle_row, middle_column = self._middle
        picture[:middle_row] = np.minimum.accumulate(picture[:middle_row][::-1])[::-1]
        picture[:, middle_column:] = np.minimum.accumulate(picture[:, middle_column:], axis=1)
        picture[:, :middle_column] = np.minimum.accumulate(picture[:, :middle_column][:, ::-1], axis=1)[:, ::-1]
        return np.asarray(picture[shown])

    def _softened(self, weight: np.ndarray) -> np.ndarray:
        """Weights (P,) that fall off softly inwards from where they are 0."""
        picture = self._layout.picture(weight[:, None])[..., 0]
        shown = self._layout.shown.numpy()
        picture[~shown] = 1.0
        soft = cv2.blur(cv2.erode(picture, np.ones((3, 3))), (7, 7))
        return np.asarray(np.minimum(soft, picture)[shown])

    def _complete(self, merged: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Fill (P, 3) what was not seen: over the mesh, smoothly back to plain skin, with the seen skin's grain."""
        layout = self._layout
        corners, weights = layout.corners.numpy(), layout.weights.numpy()
        count = len(self._model.mean)
        spread = sparse.coo_matrix((weights.ravel(), (corners.ravel(), np.repeat(np.arange(len(known)), 3)))).tocsr()
        spread = sparse.vstack([spread, sparse.csr_matrix((count - spread.shape[0], len(known)))])
        share = np.asarray(spread @ known)
        total = np.asarray(spread.sum(1)).ravel().clip(1e-6)
        trust = share / total
        observed = (spread @ merged - share[:, None]) / total[:, None]
        system = self._edges + sparse.diags(10.0 * trust + FORGETTING)
        field = splu(system.tocsc()).solve(10.0 * observed)
        smooth = 1.0 + layout.over_texels(torch.from_numpy(field.astype(np.float32))).numpy()
        grain = self._grain(merged, known, rng)
        filled = smooth.clip(0.05, 2.5) * (1.0 + grain[:, None] * (1.0 - known[:, None]))
        return np.asarray(merged + filled * (1.0 - known[:, None]), np.float32)

    def _grain(self, merged: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(P,) fine noise, as strong as on the plain skin that was seen."""
        shown = self._layout.shown.numpy()
        luminance = self._layout.picture((merged @ LUMINANCE / known.clip(1e-3))[:, None])[..., 0]
        fine = (luminance - cv2.GaussianBlur(luminance, (0, 0), 2.0))[shown]
        sample = fine[self._plain_skin & (known > 0.9)]
        strength = 1.48 * np.median(np.abs(sample)) if len(sample) else 0.0
        noise = cv2.GaussianBlur(rng.standard_normal((TEXTURE_SIZE, TEXTURE_SIZE)).astype(np.float32), (0, 0), 1.2)
        return np.asarray((noise / noise.std())[shown] * min(strength, 0.06), np.float32)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What texels look like in the photo: linear colours (P, 3), image-frame normals (P, 3), trust (P,)."""

    colours: np.ndarray
    normal: np.ndarray
    weight: np.ndarray

    @property
    def luminance(self) -> np.ndarray:
        return np.asarray(self.colours @ LUMINANCE)

    def reflectance(self, light: np.ndarray) -> np.ndarray:
        """(P, 3) colours over the shading of light (9,)."""
        return self.colours / shading(self.normal, light)[:, None]


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high, smooth between them."""
    share = ((values - low) / (high - low)).clip(0.0, 1.0)
    return np.asarray(share * share * (3.0 - 2.0 * share), np.float32)


def _normalised(photo: FittedPhoto) -> tuple[np.ndarray, Tensor, float]:
    """The photo around the face with a large face scaled down, the vertices there, and pixels a metre."""
    low, high = photo.landmarks.min(0), photo.landmarks.max(0)
    size = float((high - low).max())
    height, width = photo.pixels.shape[:2]
    x0, y0 = np.maximum(low - 0.8 * size, 0).astype(int)
    x1, y1 = np.minimum(high + 0.8 * size, (width, height)).astype(int)
    part = np.ascontiguousarray(photo.pixels[y0:y1, x0:x1])
    scale = min(1.0, FACE_PIXELS / size)
    if scale < 1.0:
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    points = (photo.vertices - torch.tensor([float(x0), float(y0), 0.0])) * scale
    return part, points, float(photo.camera.scale) * scale


def _is_coloured(tone: np.ndarray) -> bool:
    return bool(np.ptp(tone) > COLOURLESS * tone.max())


def _skin_likeness(reflectance: np.ndarray) -> np.ndarray:
    """(P,) 1 for values like plain skin's, 0 for much darker or brighter ones."""
    deviation = np.abs(np.log((reflectance @ LUMINANCE).clip(1e-3)))
    return 1.0 - _ramp(deviation, *SKIN_LIKE)


def _edge_matrix(triangles: Tensor, count: int) -> sparse.csr_matrix:
    """(N, N) Laplacian of the mesh's edges, each of weight 1."""
    faces = triangles.numpy()
    pairs = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [0, 2]]]), axis=1), axis=0)
    ones = np.ones(len(pairs))
    adjacency = sparse.coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), (count, count))
    adjacency = adjacency + adjacency.T
    return sparse.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency

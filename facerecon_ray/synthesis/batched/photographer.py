"""Batches of training rows, made on the device that trains: pictures of dressed heads, with what is true in them."""

import torch
from torch import Tensor

from facerecon_ray.errors import SettingsError
from facerecon_ray.geometry.alignment import align_batch
from facerecon_ray.geometry.crop_transform import CROP_SIZE, crop_transform
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import landmarks_in_picture
from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES, Camera, angles_from_rotation, rotation_from_angles
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.synthesis.batched.camera import photo_scale, take_photos
from facerecon_ray.synthesis.batched.drawing import draw, smooth_normals
from facerecon_ray.synthesis.batched.light import lit
from facerecon_ray.synthesis.batched.surroundings import Surroundings
from facerecon_ray.synthesis.batched.views import ViewBatch
from facerecon_ray.synthesis.batched.wardrobe import Wardrobe

COLUMNS = ("crop", "pose", "camera", "shape", "expression", "landmarks_3d", "dense_landmarks", "position_map")
"""Columns of `storage.pairs.pair_schema` that can be made."""

OWN = 0.7
"""How much of a person's shape is its own; the rest is another's, so that people vary as much as before."""


class BatchedPhotographer:
    """Photographs dressed heads.

    A head's shape is its own mixed with that of another one, about the mean of all: c' = m + a (c - m) + sqrt(1 - a^2)
    (d - m) varies as c and d do. Skin, hair and clothes follow the surface.

    Parameters
    ----------
    wardrobe : the heads
    surroundings : what is behind and before them
    model : the heads' face model
    columns : that are made
    size : of the pictures that are drawn, pixels; where it is not that of crops, they are enlarged or shrunk to it

    All on one device.

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
        columns: tuple[str, ...] = COLUMNS,
        size: int = CROP_SIZE,
    ) -> None:
        missing = [name for name in columns if name not in COLUMNS]
        if missing:
            raise SettingsError(f"pictures made on the device have no {', '.join(missing)}; train from data in files")
        self._wardrobe, self.surroundings, self._model, self.size = wardrobe, surroundings, model, size
        self._columns = columns
        self._layout = UvLayout.of(model.to("cpu")).to(model.mean.device) if "position_map" in columns else None
        self.face = model.face_vertices
        self._mean_shape = wardrobe.shape.mean(0)

    def __call__(self, views: ViewBatch) -> dict[str, Tensor]:
        """One row for each view: the same on every device but for rounding and for the noise of the cameras.

        Returns
        -------
        The columns, as a training's batches have them: crop (B, 3, 256, 256) uint8, position_map (B, 3, 256, 256)
        float16, others float32
        """
        return self.sitting(views).rows()

    @torch.no_grad()
    def sitting(self, views: ViewBatch) -> "Sitting":
        """The heads of some views before the camera."""
        random = torch.Generator().manual_seed(views.seed)
        views = views.to(self._model.mean.device)
        people, others = torch.randint(len(self._wardrobe), (2, len(views)), generator=random).to(views.angles.device)
        heads = self._wardrobe.worn(people)
        change = self._mixed(heads.shape, self._wardrobe.shape[others]) - heads.shape
        moved = torch.einsum("bs,snc->bnc", change, self._model.shape_basis)
        of_surface = (moved / heads.scale[:, None, None]) @ heads.rotation
        return Sitting(self, heads, views, heads.surface + of_surface, of_surface, change, random)

    def _mixed(self, own: Tensor, other: Tensor) -> Tensor:
        """(B, S) shapes."""
        mean = self._mean_shape
        return mean + OWN * (own - mean) + (1.0 - OWN**2) ** 0.5 * (other - mean)

    def picture(
        self,
        heads: Wardrobe,
        vertices: Tensor,
        views: ViewBatch,
        scale: Tensor,
        shift: Tensor,
        random: torch.Generator,
    ) -> Tensor:
        """(B, 3, size, size) exposed linear light of heads with vertices (B, N, 3), cut out as (B,) scale and (B, 2)
        shift say."""
        fine = self.size / CROP_SIZE
        rotation = rotation_from_angles(views.angles.double()).float()
        normals = smooth_normals(heads, vertices)
        light = lit(heads, normals, rotation, views)
        points = _moved(views.project(vertices, rotation), scale * fine, shift * fine)
        drawn = draw(heads, points, normals, rotation, light, views, self.size)
        behind = self.surroundings.behind(scale * fine, shift * fine, views.size, self.size, random)
        return drawn[:, :3] + (1.0 - drawn[:, 3:]) * behind

    def photo(self, picture: Tensor, views: ViewBatch, scale: Tensor) -> Tensor:
        """(B, 3, 256, 256) uint8 photos of light (B, 3, size, size)."""
        noise = torch.Generator(picture.device).manual_seed(views.seed)
        pixels = photo_scale(scale, views.size, self.size, CROP_SIZE)
        return _crop(take_photos(picture, views.effects, pixels, noise))

    def truth(self, heads: Wardrobe, surface: Tensor, points: Tensor, change: Tensor) -> dict[str, Tensor]:
        """What `stages.pair_truth` says of photos, and the crop's scale (B,) and shift (B, 2)."""
        in_model = heads.scale[:, None, None] * surface @ heads.rotation.mT + heads.translation[:, None]
        axes = points.new_tensor(MODEL_TO_IMAGE_AXES)
        scale, turn, place = align_batch(in_model[:, self.face], points[:, self.face] * axes)
        angles, place = angles_from_rotation(turn), place * axes
        points = points - torch.nn.functional.pad(place[:, None, 2:], (2, 0))
        marked = landmarks_in_picture(self._model, points, angles[:, 2])
        transform = torch.from_numpy(crop_transform(marked[..., :2].cpu().numpy())).to(points)
        factor, shift = transform[:, 0, 0], transform[..., 2]
        camera = Camera(angles, scale, place[:, :2]).in_picture(factor, shift)
        return {
            "scale": factor,
            "shift": shift,
            "points": _moved(points, factor, shift),
            "pose": angles,
            "camera": camera.row,
            "shape": heads.shape + change,
            "expression": heads.expression,
            "landmarks_3d": _moved(marked, factor, shift),
        }

    def chosen(self, truth: dict[str, Tensor], crop: Tensor) -> dict[str, Tensor]:
        rows = {**truth, "crop": crop, "dense_landmarks": truth["points"][:, self._model.dense_landmarks, :2]}
        if self._layout is not None:
            rows["position_map"] = self._layout.position_map(truth["points"]).permute(0, 3, 1, 2).half()
        return {name: rows[name] for name in self._columns}


class Sitting:
    """Heads before the camera, of which photos are taken; made by `BatchedPhotographer.sitting`.

    Parameters
    ----------
    studio : takes the photos
    heads : B rows
    views : B views
    surface : (B, M, 3) the face model's vertices on the heads
    of_surface : (B, M, 3) how they moved from the heads' own
    change : (B, S) of the shapes' coefficients
    random : on the CPU, of what is around the heads
    """

    def __init__(
        self,
        studio: BatchedPhotographer,
        heads: Wardrobe,
        views: ViewBatch,
        surface: Tensor,
        of_surface: Tensor,
        change: Tensor,
        random: torch.Generator,
    ) -> None:
        self._studio, self._heads, self._views, self._surface = studio, heads, views, surface
        self._vertices = _follow(heads, of_surface)
        self._around = random.get_state()
        self._points = views.project(surface, rotation_from_angles(views.angles.double()).float())
        self._truth = studio.truth(heads, surface, self._points, change)

    @torch.no_grad()
    def rows(self) -> dict[str, Tensor]:
        """The photographer's columns."""
        studio, truth, random = self._studio, self._truth, self._random()
        picture = studio.picture(self._heads, self._vertices, self._views, truth["scale"], truth["shift"], random)
        face = truth["points"][:, studio.face, :2] * (studio.size / CROP_SIZE)
        picture = studio.surroundings.before(picture, self._views.occluded, face, random)
        return studio.chosen(truth, studio.photo(picture, self._views, truth["scale"]))

    @torch.no_grad()
    def turned(self, wanted: Tensor) -> Tensor:
        """The same photos with the heads in other poses, beside the crops; see `subject_views`.

        Parameters
        ----------
        wanted : (B, 3) yaw, pitch and roll in degrees, measured like the pose

        Returns
        -------
        (B, 3, 256, 256) uint8
        """
        own, before, after = (
            rotation_from_angles(angles.double()) for angles in (self._views.angles, self._truth["pose"], wanted)
        )
        rotation = after @ before.mT @ own
        views = self._views.rotated(angles_from_rotation(rotation).float())
        face = self._studio.face
        points = views.project(self._surface[:, face], rotation.float())
        scale = self._truth["scale"]
        moved = scale[:, None] * (_middle(self._points[:, face]) - _middle(points))
        shift = self._truth["shift"] + moved
        picture = self._studio.picture(self._heads, self._vertices, views, scale, shift, self._random())
        return self._studio.photo(picture, views, scale)

    def _random(self) -> torch.Generator:
        """What is around the heads in all of their photos."""
        random = torch.Generator()
        random.set_state(self._around)
        return random


def _middle(points: Tensor) -> Tensor:
    """(B, 2) middle of the bounding box of points (B, N, 2 or more)."""
    return ((points.amax(1) + points.amin(1)) / 2)[:, :2]


def _follow(heads: Wardrobe, moved: Tensor) -> Tensor:
    """(B, N, 3) the heads' vertices where their surfaces moved by (B, M, 3)."""
    total = heads.vertices
    for neighbour in range(heads.neighbours.shape[-1]):
        index = heads.neighbours[..., neighbour].long()[..., None].expand(-1, -1, 3)
        total = total + moved.gather(1, index) * heads.following[..., neighbour, None]
    return total


def _moved(points: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Points (B, N, 3) of the image frame in another picture; depth grows with the picture."""
    return points * scale[:, None, None] + torch.nn.functional.pad(shift, (0, 1))[:, None]


def _crop(photo: Tensor) -> Tensor:
    """(B, 3, 256, 256) uint8 of photos (B, 3, S, S), 0 to 255."""
    if photo.shape[-1] != CROP_SIZE:
        size = [CROP_SIZE, CROP_SIZE]
        photo = torch.nn.functional.interpolate(photo, size, mode="bilinear", align_corners=False, antialias=True)
    return photo.round().clamp(0, 255).byte()

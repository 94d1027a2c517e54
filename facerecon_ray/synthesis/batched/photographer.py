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
        self._wardrobe, self._surroundings, self._model, self._size = wardrobe, surroundings, model, size
        self._columns = columns
        self._layout = UvLayout.of(model.to("cpu")).to(model.mean.device) if "position_map" in columns else None
        self._face = model.face_vertices
        self._mean_shape = wardrobe.shape.mean(0)

    @torch.no_grad()
    def __call__(self, views: ViewBatch) -> dict[str, Tensor]:
        """One row for each view: the same on every device but for rounding and for the noise of the cameras.

        Returns
        -------
        The columns, as a training's batches have them: crop (B, 3, 256, 256) uint8, position_map (B, 3, 256, 256)
        float16, others float32
        """
        device = self._model.mean.device
        random = torch.Generator().manual_seed(views.seed)
        noise = torch.Generator(device).manual_seed(views.seed)
        views = views.to(device)
        people, others = torch.randint(len(self._wardrobe), (2, len(views)), generator=random).to(device)
        heads = self._wardrobe.worn(people)
        change = self._mixed(heads.shape, self._wardrobe.shape[others]) - heads.shape
        moved = torch.einsum("bs,snc->bnc", change, self._model.shape_basis)
        of_surface = (moved / heads.scale[:, None, None]) @ heads.rotation
        surface = heads.surface + of_surface
        rotation = rotation_from_angles(views.angles.double()).float()
        points = views.project(surface, rotation)
        truth = self._truth(heads, surface, points, change)
        scale, shift = truth["scale"], truth["shift"]
        picture = self._picture(heads, _follow(heads, of_surface), rotation, views, scale, shift, random)
        in_crop = truth["points"]
        picture = self._surroundings.before(
            picture, views.occluded, in_crop[:, self._face, :2] * (self._size / CROP_SIZE), random
        )
        photo = take_photos(picture, views.effects, photo_scale(scale, views.size, self._size, CROP_SIZE), noise)
        return self._chosen(truth, _crop(photo))

    def _mixed(self, own: Tensor, other: Tensor) -> Tensor:
        """(B, S) shapes."""
        mean = self._mean_shape
        return mean + OWN * (own - mean) + (1.0 - OWN**2) ** 0.5 * (other - mean)

    def _picture(
        self,
        heads: Wardrobe,
        vertices: Tensor,
        rotation: Tensor,
        views: ViewBatch,
        scale: Tensor,
        shift: Tensor,
        random: torch.Generator,
    ) -> Tensor:
        """(B, 3, size, size) exposed linear light."""
        fine = self._size / CROP_SIZE
        normals = smooth_normals(heads, vertices)
        light = lit(heads, normals, rotation, views)
        points = _moved(views.project(vertices, rotation), scale * fine, shift * fine)
        drawn = draw(heads, points, normals, rotation, light, views, self._size)
        behind = self._surroundings.behind(scale * fine, shift * fine, views.size, self._size, random)
        return drawn[:, :3] + (1.0 - drawn[:, 3:]) * behind

    def _truth(self, heads: Wardrobe, surface: Tensor, points: Tensor, change: Tensor) -> dict[str, Tensor]:
        """What `stages.pair_truth` says of photos, and the crop's scale (B,) and shift (B, 2)."""
        in_model = heads.scale[:, None, None] * surface @ heads.rotation.mT + heads.translation[:, None]
        axes = points.new_tensor(MODEL_TO_IMAGE_AXES)
        scale, turn, place = align_batch(in_model[:, self._face], points[:, self._face] * axes)
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

    def _chosen(self, truth: dict[str, Tensor], crop: Tensor) -> dict[str, Tensor]:
        rows = {**truth, "crop": crop, "dense_landmarks": truth["points"][:, self._model.dense_landmarks, :2]}
        if self._layout is not None:
            rows["position_map"] = self._layout.position_map(truth["points"]).permute(0, 3, 1, 2).half()
        return {name: rows[name] for name in self._columns}


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

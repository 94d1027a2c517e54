import numpy as np
import torch
from foreign_files import Writer300wlp, pose_para

from facerecon_ray.config.importing import ImportSettings
from facerecon_ray.geometry.crop_transform import apply_transform, crop_transform, cut_crop
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.synthesis.importers.imported_view import ImportedView
from facerecon_ray.synthesis.importers.side_partner import choose_side, make_partner
from facerecon_ray.synthesis.importers.w300lp import Importer300wlp


def test_the_view_closest_to_the_wanted_turn_is_chosen() -> None:
    yaws = np.array([12.0, 31.0, 45.0, 70.0])
    assert choose_side(4.0, yaws, 30.0, 15.0) == 1
    assert choose_side(-4.0, -yaws, 30.0, 15.0) == 1
    assert choose_side(20.0, yaws, 30.0, 15.0) == 2
    assert choose_side(4.0, yaws, 30.0, 2.0) is None
    assert choose_side(4.0, np.array([]), 30.0, 15.0) is None


def test_a_side_picture_takes_the_frontal_crops_place_scale_and_background(write_300wlp: Writer300wlp) -> None:
    write_300wlp("AFW/AFW_1_1_0", pose_para(-3, 12, -10, 230, 215), painted=True)
    write_300wlp("AFW/AFW_1_1_1", pose_para(-33, -8, 6, 205, 240), painted=True)
    settings = ImportSettings(layout="300wlp", folder=write_300wlp.folder, face_model=write_300wlp.basel.path)
    reader = Importer300wlp(settings)
    front, side = reader.views(reader.sources()[0])
    assert isinstance(front, ImportedView) and isinstance(side, ImportedView)
    transform = crop_transform(projected_landmarks(reader.model, front.head, front.camera)[0, :, :2].numpy())
    angles = np.array([side.pose[0], 0.0, front.pose[2]])
    picture = make_partner(reader.model, front, side, transform, angles).astype(float)

    scale = transform[0, 0]
    camera = Camera(torch.tensor(angles)[None].float(), front.camera.scale * scale, torch.zeros(1, 2))
    points, face = camera.project(side.head)[0].numpy(), reader.model.face_vertices.numpy()
    before = apply_transform(transform, front.vertices[face, :2])
    points[:, :2] += _middle(before) - _middle(points[face, :2])
    wanted = write_300wlp.picture(points, seed=0)[:256, :256].astype(float)
    near = points[face][points[face, 2] > np.median(points[face, 2])]
    columns, rows = near[:, :2].astype(int).T
    front_crop = cut_crop(front.image, transform).astype(float)
    assert np.abs(picture - wanted)[rows, columns].mean() < 12
    assert np.abs(front_crop - wanted)[rows, columns].mean() > 2 * np.abs(picture - wanted)[rows, columns].mean()
    assert np.abs(picture - front_crop)[:20, :40].mean() < 6, "the frontal picture's background is kept in the corner"


def _middle(points: np.ndarray) -> np.ndarray:
    return (points.min(0) + points.max(0)) / 2

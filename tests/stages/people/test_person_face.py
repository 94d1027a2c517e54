import cv2
import numpy as np
import pytest
import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.person_merging import MergedShape
from facerecon_ray.geometry.shape_of_person import packed
from facerecon_ray.stages.people.person_face import PersonBuilder, PersonFace, person_picture
from facerecon_ray.stages.stage import Batch

MODEL = FaceModel.default()


@pytest.fixture(scope="module")
def builder() -> PersonBuilder:
    return PersonBuilder(MODEL)


def faces_at(*yaws: float) -> Batch:
    """Fits of the mean head that leave half of the prior's variance open."""
    count, size = len(yaws), MODEL.shape_size
    information = packed(torch.eye(size, dtype=torch.float64).expand(count, -1, -1))
    pose = np.zeros((count, 3), np.float32)
    pose[:, 0] = yaws
    return {
        "shape": np.zeros((count, size), np.float32),
        "shape_information": information.numpy(),
        "expression": np.zeros((count, MODEL.expression_size), np.float32),
        "pose": pose,
        "quality": np.linspace(0.9, 0.8, count).astype(np.float32),
    }


def grain(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 166, (size, size, 3), dtype=np.uint8)


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def test_each_place_has_the_colours_of_the_photo_that_sees_it_best(builder: PersonBuilder) -> None:
    faces = faces_at(-50.0, 50.0)
    textures = [grain(1, 256), grain(2, 512)]
    texture = builder.face(faces, builder.merge(faces), np.array([0, 1]), textures).texture
    assert texture.shape == (512, 512, 3)
    first = cv2.resize(textures[0], (512, 512), interpolation=cv2.INTER_LINEAR)
    middle = slice(192, 320)
    sides = [np.s_[middle, 64:192], np.s_[middle, 320:448]]
    of_first, of_second = ([likeness(texture[side], of[side]) for side in sides] for of in (first, textures[1]))
    own, other = (0, 1) if of_first[0] > of_first[1] else (1, 0)
    assert of_first[own] > 0.9 > 0.3 > of_first[other]
    assert of_second[other] > 0.9 > 0.3 > of_second[own]


def test_photos_are_made_alike_in_colour_and_one_without_colours_takes_none_away(builder: PersonBuilder) -> None:
    faces = faces_at(0.0, 20.0, -20.0)
    skin, darker, grey = (200, 140, 110), (160, 112, 88), (150, 150, 150)
    textures = [np.full((256, 256, 3), colour, np.uint8) for colour in (grey, skin, darker)]
    texture = builder.face(faces, builder.merge(faces), np.arange(3), textures).texture
    assert np.abs(texture.astype(int) - (160, 140, 110)).max() <= 1


def test_a_photo_of_each_side_comes_before_more_of_the_front(builder: PersonBuilder) -> None:
    faces = faces_at(2.0, 4.0, 6.0, 8.0, 10.0, 45.0, -50.0)
    best = builder.best(faces, builder.merge(faces)).tolist()
    assert best[0] == 0 and len(best) == 5 and {5, 6} <= set(best)


def test_the_face_is_the_merged_shape_without_expression_in_every_topology(builder: PersonBuilder) -> None:
    size = MODEL.shape_size
    shape = torch.zeros(size)
    shape[:5] = torch.tensor([1.0, -1.0, 0.5, 2.0, -2.0])
    covariance = 0.25 * torch.eye(size, dtype=torch.float64)
    merged = MergedShape(shape, covariance, torch.tensor([True]), torch.zeros(1))
    face = PersonFace(merged, grain(1, 256), 1.0, 0.9)
    wanted = MODEL.vertices(shape[None], torch.zeros(1, MODEL.expression_size))[0, MODEL.face_vertices].numpy()
    found = builder.mesh(face, "model").vertices
    assert np.array_equal(found, wanted)
    smooth, dense = builder.mesh(face, "smooth"), builder.mesh(face, "dense")
    still = (smooth.vertices == wanted).all(1)
    assert still.mean() > 0.5 and np.abs(smooth.vertices - wanted).max() < 0.03
    assert smooth.triangles.shape == builder.mesh(face, "model").triangles.shape
    assert len(dense.vertices) > 5 * len(smooth.vertices)
    picture = cv2.imdecode(np.frombuffer(person_picture(smooth, [grain(2, 256)] * 2), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (256 + 128, 768, 3) and (picture[300, 700] > 250).all()


def test_what_is_left_open_shrinks_with_every_photo(builder: PersonBuilder) -> None:
    spreads = []
    for count in (1, 4):
        faces = faces_at(*[0.0] * count)
        spreads.append(builder.face(faces, builder.merge(faces), np.array([0]), [grain(1, 256)]).spread)
    assert spreads[1] == pytest.approx(spreads[0] * np.sqrt(2 / 5), rel=0.01)

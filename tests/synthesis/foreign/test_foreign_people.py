import numpy as np
import pytest
from scans_stand_in import save_scans
from scipy.spatial import cKDTree

from facerecon_ray.geometry.alignment import align
from facerecon_ray.synthesis.foreign.foreign_people import ForeignHead, ForeignPeople
from facerecon_ray.synthesis.model_building.scans_model import ScansModel
from facerecon_ray.synthesis.people.subjects import SubjectSampler
from facerecon_ray.synthesis.rendering.head_scene import SKIN


@pytest.fixture(scope="module")
def foreign(people: SubjectSampler, tmp_path_factory: pytest.TempPathFactory) -> ForeignPeople:
    file = tmp_path_factory.mktemp("scans") / "scans.npz"
    save_scans(file)
    return ForeignPeople(ScansModel.load(file), people)


@pytest.fixture(scope="module")
def heads(foreign: ForeignPeople) -> list[ForeignHead]:
    return list(foreign.heads(2))


def test_a_person_comes_without_an_expression_and_with_one(heads: list[ForeignHead]) -> None:
    neutral, expressive = heads
    assert neutral.expression == neutral.scene.attributes["expression"] == "neutral" != expressive.expression
    assert neutral.scene.attributes["hair"] == expressive.scene.attributes["hair"]


def test_a_head_is_the_scans_models_at_its_true_size(foreign: ForeignPeople, heads: list[ForeignHead]) -> None:
    """Moved and turned onto the model's people, it is one of them: the mean and a combination of the identities."""
    model = foreign.model
    skin = np.unique(model.of_part("skin"))
    scale, rotation, translation = align(heads[0].vertices[skin].astype(float), model.mean[skin])
    assert scale == pytest.approx(1.0, abs=0.15), "the second person of the stand-in is a tenth larger"
    laid = scale * heads[0].vertices[skin] @ rotation.T + translation
    offsets = (laid - model.mean[skin]).reshape(-1)
    turned = [model.identity[:, skin].reshape(len(model.identity), -1), *_small_moves(model.mean[skin])]
    basis = np.concatenate([np.atleast_2d(one) for one in turned]).T.astype(float)
    left = offsets - basis @ np.linalg.lstsq(basis, offsets, rcond=None)[0]
    assert np.abs(left).max() < 0.001


def test_the_scans_lips_wear_the_skins_lips(foreign: ForeignPeople, heads: list[ForeignHead]) -> None:
    geometry, model = foreign.geometry, foreign.model
    skin = heads[0].scene.parts[0]
    assert skin.name == SKIN
    for landmark in (36, 39, 42, 45, 48, 51, 54, 57):
        vertex = cKDTree(skin.vertices).query(heads[0].vertices[model.landmarks[landmark]])[1]
        column, row = (skin.uv[vertex] * geometry.maps.place.shape[0]).astype(int)
        assert np.linalg.norm(geometry.maps.place[row, column] - geometry.landmarks[landmark]) < 0.006


def test_what_a_head_wears_lies_on_it(heads: list[ForeignHead]) -> None:
    for head in heads:
        near = cKDTree(head.vertices)
        lashes = [part for part in head.scene.parts if part.name == "lashes"]
        assert lashes and max(near.query(part.vertices)[0].max() for part in lashes) < 0.012
        on_face = head.scene.surface[head.scene.surface[:, 2] > 0.0]
        assert np.quantile(near.query(on_face)[0], 0.9) < 0.004


def _small_moves(points: np.ndarray) -> list[np.ndarray]:
    """What a small turn, a move and a growth do to points (N, 3), one row each."""
    turns = [np.cross(axis, points) for axis in np.eye(3)]
    moves = [np.broadcast_to(axis, points.shape) for axis in np.eye(3)]
    return [one.reshape(-1) for one in (*turns, *moves, points)]

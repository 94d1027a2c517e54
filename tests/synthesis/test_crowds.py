import numpy as np
import pytest

from facerecon_ray.config.training import CrowdSettings
from facerecon_ray.networks.face_proposer import LARGEST, SMALLEST, STRIDE
from facerecon_ray.synthesis.crowds import CrowdComposer, FaceCut

GREY = np.full((200, 200, 3), 90, np.uint8)


def marked_face(roll: float = 0.0) -> FaceCut:
    """A picture of 100 pixels: red above its middle, blue to its right, green elsewhere, as seen by the face."""
    y, x = np.mgrid[0:100, 0:100] - 49.5
    angle = np.deg2rad(roll)
    right, down = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[..., 1] = 255
    picture[(down < -8) & (np.abs(right) < 10)] = (255, 0, 0)
    picture[(right > 8) & (np.abs(down) < 10)] = (0, 0, 255)
    return FaceCut(picture, (50.0, 50.0), 60.0, roll)


def composer(**settings: object) -> CrowdComposer:
    quiet = {"distractors": 0.0, "dark_share": 0.0, "faces": 2.0, "sizes": (24.0, 50.0), **settings}
    return CrowdComposer(CrowdSettings.model_validate(quiet), [GREY])


@pytest.mark.parametrize("roll", [0.0, 40.0, -120.0])
def test_faces_lie_where_the_scene_says(roll: float) -> None:
    composing, seen = composer(beside_share=0.0), 0
    for seed in range(40):
        crowd = composing.compose([marked_face(roll)], np.random.default_rng(seed))
        for x, y, size, turn in crowd.faces:
            up = 0.25 * size * np.array([np.sin(np.deg2rad(turn)), -np.cos(np.deg2rad(turn))])
            column, row = np.floor(np.array([x, y]) + up).astype(int)
            if 0 <= row < 128 and 0 <= column < 128 and len(crowd.faces) == 1:
                assert crowd.picture[row, column].argmax() == 0, (seed, crowd.faces)
                seen += 1
    assert seen > 5


def test_scene_is_decided_by_its_seed() -> None:
    first, again, other = (
        composer(distractors=1.0).compose([marked_face()], np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.picture, again.picture) and np.array_equal(first.faces, again.faces)
    assert not np.array_equal(first.picture, other.picture)


def test_only_faces_of_the_networks_sizes_are_to_be_found() -> None:
    composing = composer(sizes=(6.0, 110.0), faces=6.0)
    crowds = [composing.compose([marked_face()], np.random.default_rng(seed)) for seed in range(30)]
    sizes = np.concatenate([crowd.faces[:, 2] for crowd in crowds])
    assert len(sizes) > 30 and sizes.min() >= SMALLEST and sizes.max() <= LARGEST
    assert any(crowd.unsure.any() for crowd in crowds)
    assert crowds[0].unsure.shape == (128 // STRIDE, 128 // STRIDE)


def test_hidden_faces_are_not_to_be_found() -> None:
    """Where twenty large faces lie over one another, those below are left out."""
    crowd = composer(sizes=(49.0, 50.0), faces=60.0).compose([marked_face()], np.random.default_rng(0))
    assert 0 < len(crowd.faces) < 30


def test_things_that_are_no_faces_are_drawn_but_not_to_be_found() -> None:
    crowd = composer(distractors=20.0, faces=1e-9).compose([marked_face()], np.random.default_rng(0))
    assert len(crowd.faces) == 0 and crowd.picture.std() > 5

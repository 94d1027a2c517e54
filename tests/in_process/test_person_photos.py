from pathlib import Path

import numpy as np
import pytest
import trimesh
from clips import write_clip

import facerecon_ray
from facerecon_ray.errors import InputError, PhotoError
from facerecon_ray.in_process.person_photos import Person


@pytest.fixture(scope="module")
def person(astronaut: np.ndarray, pair: np.ndarray, page: np.ndarray) -> Person:
    """From a photo, one in which somebody else is beside her, one without a face, and a smaller one."""
    return facerecon_ray.reconstruct([astronaut, pair, page, np.ascontiguousarray(astronaut[::2, ::2])], device="cpu")


def test_several_photos_give_one_person_who_is_found_among_others(person: Person, astronaut: np.ndarray) -> None:
    (alone,) = facerecon_ray.reconstruct(astronaut, device="cpu")
    assert [face is not None for face in person.faces] == [True, True, False, True]
    assert person.left_out == ("", "", "no face was found", "")
    left_half = person.faces[1]
    assert left_half is not None and left_half.bbox[2] < 320
    assert person.quality == pytest.approx(max(face.quality for face in person.faces if face))
    assert person.mesh.vertices.shape == alone.mesh.vertices.shape
    assert np.abs(person.mesh.vertices - alone.mesh.vertices).mean() < 0.01
    assert person.deviation.min() > 0 and person.deviation.max() <= 1 and 0 < person.spread < 10


def test_the_face_of_a_person_has_no_expression_and_is_written_as_a_mesh(person: Person, tmp_path: Path) -> None:
    path = person.export(tmp_path / "person.glb")
    (mesh,) = trimesh.load(path).geometry.values()
    assert len(mesh.vertices) == len(person.mesh.vertices)
    smile = person.faces[0]
    assert smile is not None
    mouth = np.ptp(smile.mesh.vertices[:, 1]) - np.ptp(person.mesh.vertices[:, 1])
    assert np.abs(mouth) < 0.02 and not np.array_equal(smile.mesh.vertices, person.mesh.vertices)
    assert person.mesh.texture.std() > 20


def test_one_photo_is_a_person_too_with_its_own_shape(astronaut: np.ndarray) -> None:
    one = facerecon_ray.reconstruct([astronaut], topology="model", device="cpu")
    (face,) = facerecon_ray.reconstruct(astronaut, topology="model", device="cpu")
    assert one.left_out == ("",) and one.mesh.triangles.shape == face.mesh.triangles.shape
    assert one.mesh.vertices.shape == face.mesh.vertices.shape


def test_photos_that_give_no_person_are_one_clear_error(page: np.ndarray, astronaut: np.ndarray) -> None:
    with pytest.raises(PhotoError, match="none of 2 photos shows a face that can be used: no face was found"):
        facerecon_ray.reconstruct([page, page], device="cpu")
    with pytest.raises(InputError, match="the list of photos is empty"):
        facerecon_ray.reconstruct([], device="cpu")
    with pytest.raises(InputError, match="put all into one list"):
        facerecon_ray.reconstruct([astronaut], astronaut, device="cpu")  # type: ignore[call-overload]


def test_a_clip_gives_the_person_whom_it_shows(astronaut: np.ndarray, pair: np.ndarray, tmp_path: Path) -> None:
    beside = np.ascontiguousarray(pair[:, :512])
    path = write_clip(tmp_path / "clip.mp4", [astronaut, beside, np.zeros_like(astronaut)], rate=2)
    person = facerecon_ray.reconstruct(path, device="cpu")
    assert isinstance(person, Person)
    assert person.photos == tuple(f"{path}#t={time}" for time in ("0.000", "0.500", "1.000"))
    assert person.left_out == ("", "", "no face was found")
    first, second, _ = person.faces
    assert first is not None and second is not None and second.bbox[2] < 320
    with pytest.raises(InputError, match="both a clip and a side photo are given; put all into one list"):
        facerecon_ray.reconstruct(path, astronaut, device="cpu")
    with pytest.raises(InputError, match=r"clip .*gone\.mp4: No such file"):
        facerecon_ray.reconstruct(tmp_path / "gone.mp4", device="cpu")

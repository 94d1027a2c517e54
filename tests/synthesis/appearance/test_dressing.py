import itertools
from dataclasses import replace

import dlib
import numpy as np
import pytest
from scipy.spatial import cKDTree

from facerecon_ray.config.synthesis import CameraSettings, OccluderSettings, ViewSettings
from facerecon_ray.synthesis.appearance.hair import STYLES
from facerecon_ray.synthesis.appearance.looks import BEARDS, CLOTHES, GLASSES, MEN_HEADWEAR, WOMEN_HEADWEAR
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.people.subjects import SubjectSampler
from facerecon_ray.synthesis.rendering.head_scene import HeadScene, Part
from facerecon_ray.synthesis.rendering.scene_rendering import SceneRenderer
from facerecon_ray.synthesis.rendering.view_sampling import ViewSampler


@pytest.fixture(scope="module")
def subject(people: SubjectSampler) -> Subject:
    subject = people.subject(5)
    looks = replace(subject.looks, hair="bald", beard=None, glasses=None, headwear=None, clothes="t-shirt")
    return replace(subject, looks=looks)


def _named(scene: HeadScene, name: str) -> list[Part]:
    return [part for part in scene.parts if part.name == name]


def _wearing(people: SubjectSampler, subject: Subject, **looks: str) -> HeadScene:
    return people.dress(replace(subject, looks=replace(subject.looks, **looks)))


def _check(scene: HeadScene) -> None:
    for part in scene.parts:
        assert np.isfinite(part.vertices).all(), part.name
        assert part.vertices.dtype == np.float32, part.name
        assert 0 <= part.triangles.min() <= part.triangles.max() < len(part.vertices), part.name
        assert -1e-6 <= part.uv.min() <= part.uv.max() <= 1 + 1e-6, part.name
        assert np.abs(part.vertices).max() < 0.7, part.name


def test_the_same_subject_is_dressed_the_same_to_the_bit(people: SubjectSampler) -> None:
    first, again = (people.dress(people.subject(42)) for _ in range(2))
    assert first.attributes == again.attributes
    for one, other in zip(first.parts, again.parts, strict=True):
        np.testing.assert_array_equal(one.vertices, other.vertices)
        np.testing.assert_array_equal(one.texture, other.texture)


def test_the_surface_is_the_skins(people: SubjectSampler, subject: Subject) -> None:
    scene = people.dress(subject)
    (skin,) = _named(scene, "skin")
    known = people.geometry.model_vertex >= 0
    np.testing.assert_array_equal(skin.vertices[known], scene.surface[people.geometry.model_vertex[known]])


@pytest.mark.parametrize("hair", sorted(STYLES))
def test_hair_covers_the_back_of_the_head(people: SubjectSampler, subject: Subject, hair: str) -> None:
    scene = _wearing(people, subject, hair=hair)
    _check(scene)
    layers = _named(scene, "hair")
    (skin,) = _named(scene, "skin")
    closed = layers[0].vertices
    assert closed[:, 2].min() < skin.vertices[:, 2].min() - 0.0002
    assert closed[:, 1].max() > skin.vertices[:, 1].max() + 0.0003
    behind = skin.vertices[(skin.vertices[:, 2] < -0.11) & (skin.vertices[:, 1] > 0.0)]
    to_hair = cKDTree(closed[np.unique(layers[0].triangles)]).query(behind)[0]
    assert to_hair.max() < 0.03 + np.median(to_hair), "no gap at the back"
    nose = skin.vertices[skin.vertices[:, 2].argmax()]
    assert np.linalg.norm(closed - nose, axis=1).min() > 0.03, "no hair before the nose"


@pytest.mark.parametrize("beard", sorted(BEARDS))
def test_beards_stand_out_from_the_skin(people: SubjectSampler, subject: Subject, beard: str) -> None:
    scene = _wearing(people, subject, beard=beard, hair_colour=(30.0, 25.0, 20.0))
    _check(scene)
    layers = _named(scene, "beard")
    assert len(layers) == (0 if beard == "stubble" else 3)
    for inner, outer in itertools.pairwise(layers):
        assert outer.vertices[:, 2].max() >= inner.vertices[:, 2].max()
        assert (outer.texture[..., 3] > 0).mean() < (inner.texture[..., 3] > 0).mean(), "thinner outside"


@pytest.mark.parametrize("glasses", sorted(GLASSES))
def test_glasses_sit_before_the_eyes_and_reach_the_ears(
    people: SubjectSampler, subject: Subject, glasses: str
) -> None:
    scene = _wearing(people, subject, glasses=glasses)
    _check(scene)
    frame, *lenses = _named(scene, "glasses")
    assert len(lenses) == (2 if glasses == "sunglasses" else 0)
    for eye in _named(scene, "eyes"):
        middle = eye.vertices.mean(0)
        around = frame.vertices[np.abs(frame.vertices[:, 0] - middle[0]) < 0.02]
        assert around[:, 2].max() > eye.vertices[:, 2].max(), "the rim is before the eye"
        assert around[:, 1].min() < middle[1] < around[:, 1].max()
    assert frame.vertices[:, 2].min() < -0.04
    assert np.abs(frame.vertices[:, 0]).max() < 0.1


@pytest.mark.parametrize("headwear", sorted(set(MEN_HEADWEAR) | set(WOMEN_HEADWEAR)))
def test_headwear_lies_over_the_crown_and_leaves_the_eyes_free(
    people: SubjectSampler, subject: Subject, headwear: str
) -> None:
    scene = _wearing(people, subject, headwear=headwear, hair="short")
    _check(scene)
    cloth = np.concatenate([part.vertices for part in _named(scene, "headwear")])
    (skin,) = _named(scene, "skin")
    assert cloth[:, 1].max() > skin.vertices[:, 1].max()
    for eye in _named(scene, "eyes"):
        assert np.linalg.norm(cloth - eye.vertices.mean(0), axis=1).min() > 0.025


@pytest.mark.parametrize("clothes", sorted(CLOTHES))
def test_clothes_go_on_where_the_head_ends(people: SubjectSampler, subject: Subject, clothes: str) -> None:
    scene = _wearing(people, subject, clothes=clothes)
    _check(scene)
    (skin,) = _named(scene, "skin")
    (neck,) = _named(scene, "neck")
    torso = np.concatenate([part.vertices for part in _named(scene, "clothes")])
    low = skin.vertices[:, 1].min()
    assert neck.vertices[:, 1].max() > low - 1e-6
    assert torso[:, 1].min() < low - 0.25
    assert 0.34 < np.ptp(torso[:, 0]) < 0.6, "shoulders, metres"


def test_teeth_stay_behind_closed_lips_and_the_lower_ones_follow_the_jaw(
    people: SubjectSampler, subject: Subject
) -> None:
    upper, lower = _named(people.dress(replace(subject, vertices=subject.neutral)), "teeth")
    lips = people.geometry.landmarks_of(subject.neutral)[[62, 66], 2].mean()
    assert upper.vertices[:, 2].max() < lips - 0.004
    opened = np.float32(subject.size) * people.geometry.heads.head(subject.shape, {"jawOpen": 0.8})
    fixed, dropped = _named(people.dress(replace(subject, vertices=opened)), "teeth")
    np.testing.assert_array_equal(fixed.vertices, upper.vertices)
    assert (dropped.vertices[:, 1] < lower.vertices[:, 1] - 0.01).all()


def test_a_photos_skin_takes_the_painted_ones_place(people: SubjectSampler, subject: Subject) -> None:
    photo = np.full((512, 512, 3), (120, 90, 70), np.uint8)
    (skin,) = _named(people.dress(subject, photo), "skin")
    np.testing.assert_array_equal(skin.texture, photo)


def test_dlib_sees_faces_in_frontal_views(people: SubjectSampler) -> None:
    plain = CameraSettings(blur_share=0.0, low_resolution_share=0.0, noise=0.005, jpeg_share=0.0)
    views = ViewSampler(
        ViewSettings(yaws=(-10.0,), yaw_noise=20.0, pitch=10.0, roll=10.0),
        camera=plain,
        occluders=OccluderSettings(share=0.0),
    )
    renderer, detector = SceneRenderer("auto"), dlib.get_frontal_face_detector()
    found = 0
    for seed in range(12):
        scene = people.dress(people.subject(seed))
        found += len(detector(renderer.render(scene, views.view(seed, 0)).image, 1)) > 0
    assert found >= 10


@pytest.mark.parametrize("expression", ["neutral", "closed eyes"])
def test_upper_lashes_stand_out_of_the_lids(people: SubjectSampler, expression: str) -> None:
    subject = next(subject for subject in map(people.subject, range(400)) if subject.expression == expression)
    scene = people.dress(subject)
    (skin,) = _named(scene, "skin")
    assert skin.normals is not None
    tree = cKDTree(skin.vertices)
    for fringe in _named(scene, "lashes")[::2]:
        roots, tips = np.split(fringe.vertices, 2)
        middles = (roots + tips) / 2
        nearest = tree.query(middles)[1]
        above = ((middles - skin.vertices[nearest]) * skin.normals[nearest]).sum(1)
        assert (above > 0.0).mean() > 0.6
        falls = (tips - roots)[:, 1] < 0.0
        assert falls.mean() > 0.9 if expression == "closed eyes" else falls.mean() < 0.4

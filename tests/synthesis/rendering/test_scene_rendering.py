import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import psutil
import pytest
from plain_head import plain_head, plain_light, plain_view
from scipy import ndimage

from facerecon_ray.config.synthesis import OccluderSettings
from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.synthesis.rendering import scene_rendering
from facerecon_ray.synthesis.rendering.camera_effects import CameraEffects
from facerecon_ray.synthesis.rendering.lighting import HARMONIC_1
from facerecon_ray.synthesis.rendering.scene_rendering import SceneRenderer
from facerecon_ray.synthesis.rendering.view_sampling import ViewSampler, rotated_view

HASHES_OF_A_PHOTO = """
import hashlib, sys
from facerecon_ray.synthesis.rendering.scene_rendering import SceneRenderer
from facerecon_ray.synthesis.rendering.view_sampling import ViewSampler
from plain_head import plain_head
for backend in sys.argv[1:]:
    photo = SceneRenderer(backend).render(plain_head(card=True), ViewSampler().view(5, 2)).image
    print(hashlib.sha256(photo.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def egl() -> SceneRenderer:
    renderer = SceneRenderer("egl")
    try:
        assert renderer.backend == "egl"
    except AssetError as error:
        pytest.skip(str(error))
    return renderer


@pytest.fixture(scope="module")
def rasterizer() -> SceneRenderer:
    return SceneRenderer("rasterizer")


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (60.0, 15.0, -20.0), (-90.0, -20.0, 10.0)])
def test_both_backends_take_the_same_photo(
    egl: SceneRenderer, rasterizer: SceneRenderer, angles: tuple[float, float, float]
) -> None:
    scene, view = plain_head(card=True), plain_view(angles)
    ours, theirs = rasterizer.render(scene, view), egl.render(scene, view)
    inner = ndimage.binary_erosion(ours.mask & theirs.mask, iterations=2)
    assert inner.sum() > 4000
    difference = np.abs(ours.image.astype(int) - theirs.image.astype(int))
    assert difference[inner].mean() < 0.5
    assert (ours.mask != theirs.mask).mean() < 0.002
    assert np.array_equal(ours.points, theirs.points)


def test_both_backends_draw_without_any_lamp(egl: SceneRenderer, rasterizer: SceneRenderer) -> None:
    view = replace(plain_view((20.0, 0.0, 0.0)), light=plain_light(1.0, None))
    ours, theirs = rasterizer.render(plain_head(), view), egl.render(plain_head(), view)
    inner = ndimage.binary_erosion(ours.mask & theirs.mask, iterations=2)
    assert np.abs(ours.image.astype(int) - theirs.image.astype(int))[inner].mean() < 0.5
    assert ours.image[inner].mean() > 60


def test_holes_of_a_texture_show_what_is_behind_them(rasterizer: SceneRenderer) -> None:
    view = replace(plain_view(), camera=CameraEffects(exposure=0.5))
    without, beside = rasterizer.render(plain_head(), view), rasterizer.render(plain_head(card=True), view)
    added = beside.mask & ~without.mask
    columns = np.flatnonzero(added.any(0))
    assert columns.min() > view.size / 2
    gaps = np.diff(np.flatnonzero(np.diff(added[view.size // 2, columns.min() :].astype(int))))
    assert len(gaps) >= 1


def test_the_truth_lies_where_the_head_is_drawn(rasterizer: SceneRenderer) -> None:
    for angles in ((0.0, 0.0, 0.0), (80.0, 20.0, 20.0)):
        view = replace(plain_view(angles), distance=0.45)
        rendering = rasterizer.render(plain_head(), view)
        rows, columns = np.nonzero(rendering.mask)
        drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        true = np.concatenate([rendering.points[:, :2].min(0), rendering.points[:, :2].max(0)])
        assert np.abs(drawn - true).max() < 1.5


def test_positive_yaw_turns_the_face_to_the_right_and_positive_pitch_lifts_the_chin(
    rasterizer: SceneRenderer,
) -> None:
    scene = plain_head()
    tip = int(scene.surface[:, 2].argmax())
    frontal, yawed, pitched = (
        rasterizer.render(scene, plain_view(angles)).points[tip]
        for angles in ((0.0, 0.0, 0.0), (30.0, 0.0, 0.0), (0.0, 20.0, 0.0))
    )
    assert yawed[0] > frontal[0] + 10
    assert pitched[1] < frontal[1] - 5


def test_a_lamp_on_the_left_of_the_picture_lights_that_side_whatever_the_pose(rasterizer: SceneRenderer) -> None:
    scene = plain_head()
    white = replace(scene.parts[0], texture=np.full((4, 4, 3), 180, np.uint8))
    scene = replace(scene, parts=(white,))
    for yaw in (-40.0, 0.0, 40.0):
        view = replace(plain_view((yaw, 0.0, 0.0)), light=plain_light(0.3, (-1.0, 0.2, 0.5)))
        rendering = rasterizer.render(scene, view)
        columns = np.nonzero(rendering.mask)[1]
        left = np.arange(view.size) < np.median(columns)
        brightness = rendering.image.mean(-1)
        assert brightness[rendering.mask & left].mean() > 1.3 * brightness[rendering.mask & ~left].mean()


def test_black_skin_shows_what_it_mirrors_of_a_bright_sky(rasterizer: SceneRenderer) -> None:
    scene = plain_head()
    black = replace(scene.parts[0], texture=np.zeros((4, 4, 3), np.uint8))
    sky = plain_light(1.0, None)
    sky.environment[1] = 0.8 / HARMONIC_1
    view = replace(plain_view(), light=sky)
    matt, glossy = (
        rasterizer.render(replace(scene, parts=(replace(black, gloss=gloss),)), view) for gloss in (0.0, 0.35)
    )
    inner = ndimage.binary_erosion(glossy.mask, iterations=8)
    assert matt.image[inner].max() < 3
    above = (np.arange(view.size) < np.nonzero(inner)[0].mean())[:, None]
    upper, lower = inner & above, inner & ~above
    assert glossy.image[upper].mean() > 1.2 * glossy.image[lower].mean() > 10.0


def test_the_rotated_view_keeps_light_camera_and_background(rasterizer: SceneRenderer) -> None:
    view = replace(ViewSampler().view(3, 4), size=160, centre=(80.0, 80.0), scale=480.0)
    view = replace(view, camera=replace(view.camera.without_losses(), defocus=0.0, motion=(0.0, 0.0)))
    scene = plain_head()
    photo, turned = rasterizer.render(scene, view), rasterizer.render(scene, rotated_view(view, (35.0, 0.0, 0.0)))
    around = ~ndimage.binary_dilation(photo.mask | turned.mask, iterations=2)
    assert around.sum() > 2000
    assert np.array_equal(photo.image[around], turned.image[around])
    assert not np.array_equal(photo.mask, turned.mask)
    both = photo.mask & turned.mask
    assert abs(photo.image[both].mean() - turned.image[both].mean()) < 30


def test_a_photo_is_the_same_to_the_bit_in_processes_with_one_and_two_threads(
    egl: SceneRenderer, rasterizer: SceneRenderer
) -> None:
    scene, view = plain_head(card=True), ViewSampler().view(5, 2)
    here = [hashlib.sha256(renderer.render(scene, view).image).hexdigest() for renderer in (egl, rasterizer)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HASHES_OF_A_PHOTO, "egl", "rasterizer"],
            env={
                **os.environ,
                **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS"), threads),
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        for threads in ("1", "2")
    ]
    outputs = [process.communicate(timeout=240)[0] for process in processes]
    assert [output.split() for output in outputs] == [here, here]


def test_memory_stays_flat_over_many_scenes(egl: SceneRenderer) -> None:
    process, sizes = psutil.Process(), []
    for round_number in range(4):
        for number in range(30):
            egl.render(plain_head(), plain_view(size=96 + 32 * (number % 2), seed=100 * round_number + number))
        sizes.append(process.memory_info().rss)
    assert sizes[-1] - sizes[0] < 20e6


def test_occluders_come_only_with_a_seed_and_are_told(rasterizer: SceneRenderer) -> None:
    renderer, scene = SceneRenderer("rasterizer", occluders=OccluderSettings(most=0.5)), plain_head()
    view = plain_view()
    plain = rasterizer.render(scene, view)
    assert not plain.occluded.any()
    for seed in range(3):
        covered = renderer.render(scene, replace(view, occluder_seed=seed))
        changed = (covered.image != plain.image).any(-1)
        assert covered.occluded.any()
        assert changed[covered.occluded].mean() > 0.9
        assert not changed[~ndimage.binary_dilation(covered.occluded, iterations=4)].any()


def test_auto_falls_back_where_opengl_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_opengl() -> None:
        raise AssetError("no OpenGL")

    monkeypatch.setattr(scene_rendering, "GlDrawing", no_opengl)
    assert isinstance(scene_rendering._start_drawing("auto"), scene_rendering.RasterDrawing)
    with pytest.raises(AssetError, match="no OpenGL"):
        SceneRenderer("egl").render(plain_head(), plain_view())


def test_dark_and_light_skin_are_both_exposed_to_be_seen(rasterizer: SceneRenderer) -> None:
    scene, levels = plain_head(), []
    face = FaceModel.default().face_vertices.numpy()
    for shade in (70, 220):
        skin = replace(scene.parts[0], texture=np.full((4, 4, 3), shade, np.uint8))
        rendering = rasterizer.render(replace(scene, parts=(skin,)), plain_view())
        column, row = rendering.points[face, :2].astype(int).T
        levels.append(rendering.image[row, column].mean())
    assert 60 < levels[0] < levels[1] < 235


def test_what_is_thin_casts_no_shadow(rasterizer: SceneRenderer) -> None:
    skin, card = plain_head(card=True).parts
    view = plain_view()
    shades = []
    for casts in (True, False):
        scene = replace(plain_head(), parts=(skin, replace(card, casts=casts)))
        photo = rasterizer.render(scene, view)
        shades.append(photo.image[photo.mask].mean())
    assert shades[0] < 0.97 * shades[1]


def test_white_hair_on_dark_skin_is_not_overexposed(rasterizer: SceneRenderer) -> None:
    skin, card = plain_head(card=True).parts
    dark = replace(skin, texture=np.full((8, 8, 3), 70, np.uint8))
    hair = replace(card, texture=np.full((8, 8, 3), 190, np.uint8), name="hair")
    other = replace(hair, name="card")
    brightest = []
    for worn in (hair, other):
        scene = replace(plain_head(), parts=(dark, worn))
        brightest.append(float(np.quantile(rasterizer.render(scene, plain_view()).image.max(-1), 0.99)))
    assert brightest[0] < brightest[1]

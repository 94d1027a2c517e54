import numpy as np
import open3d
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from facerecon_ray.geometry.icp_alignment import align_to_scan
from facerecon_ray.geometry.mesh_errors import box_size, corresponding_nme, landmark_nme, mesh_errors
from facerecon_ray.geometry.similarity import Similarity
from facerecon_ray.geometry.surface import Surface
from tests.geometry.random_heads import FACE, TRIANGLES, random_head

HEAD, OTHER = random_head(0), random_head(1)
SCAN = Surface(HEAD, TRIANGLES)
NOSE = HEAD[HEAD[:, 2].argmax()]


def test_the_size_is_the_root_of_width_times_height_seen_from_the_front() -> None:
    corners = np.array([[-1.0, -2.0, 5.0], [3.0, 7.0, -90.0]])
    assert box_size(corners) == pytest.approx(6.0)


def test_a_known_displacement_gives_its_known_value() -> None:
    sphere = trimesh.creation.icosphere(5, 0.1)
    scan = Surface(sphere.vertices, sphere.faces)
    outside = np.array(sphere.vertices) * 1.03
    errors = mesh_errors(outside, scan, np.array([0.0, 0.0, 0.1]))
    known = 0.003 / 0.206
    assert errors.nme == pytest.approx(known, rel=0.01)
    assert errors.median == pytest.approx(known, rel=0.01)
    assert errors.p90 == pytest.approx(known, rel=0.01)
    assert errors.mm == pytest.approx(3.0, rel=0.01)


def test_a_known_displacement_survives_the_alignment() -> None:
    """Points half a millimetre before and behind a smooth surface, which no similarity transform brings nearer."""
    egg = trimesh.creation.icosphere(5, 1.0)
    egg.apply_scale((0.07, 0.11, 0.09))
    egg.vertices[:, 2] += 3.0 * egg.vertices[:, 1] ** 2
    scan, nose = Surface(egg.vertices, egg.faces), np.array([0.0, 0.0, 0.09])
    side = np.random.default_rng(0).choice((-0.0005, 0.0005), (len(egg.vertices), 1))
    points = (egg.vertices + side * egg.vertex_normals)[egg.vertices[:, 2] > 0.03]
    turn = Similarity(1.05, Rotation.from_euler("y", 15, degrees=True).as_matrix(), np.array([0.01, 0.0, 0.0]))
    found = align_to_scan(points, scan, turn)
    errors = mesh_errors(found.transform.apply(points), scan, nose)
    assert errors.mm == pytest.approx(0.5, rel=0.01)
    assert errors.nme * errors.box == pytest.approx(0.0005, rel=0.01)


def test_scores_agree_when_the_scan_is_remeshed() -> None:
    def score(scan: trimesh.Trimesh) -> float:
        surface = Surface(scan.vertices, scan.faces)
        found = align_to_scan(OTHER[FACE], surface, Similarity.identity())
        return mesh_errors(found.transform.apply(OTHER[FACE]), surface, NOSE).nme

    scan = trimesh.Trimesh(HEAD, TRIANGLES, process=False)
    finer = scan.subdivide().subdivide()
    fewer = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(finer.vertices), open3d.utility.Vector3iVector(finer.faces)
    ).simplify_quadric_decimation(len(TRIANGLES) * 2)
    resampled = trimesh.Trimesh(np.asarray(fewer.vertices), np.asarray(fewer.triangles), process=False)
    expected = score(scan)
    assert score(finer) == pytest.approx(expected, rel=0.01)
    assert score(resampled) == pytest.approx(expected, rel=0.01)


def test_only_vertices_near_the_nose_count_in_millimetres() -> None:
    far = np.vstack([HEAD[FACE], [[0.0, 0.0, -3.0]]])
    assert mesh_errors(far, SCAN, NOSE).mm < 1e-3
    assert mesh_errors(far, SCAN, NOSE).nme > 1e-3
    assert np.isnan(mesh_errors(HEAD[FACE], SCAN, NOSE + 1.0).mm)


def test_corresponding_points_need_no_nearest_ones() -> None:
    moved = Similarity(4.0, Rotation.random(random_state=0).as_matrix(), np.ones(3)).apply(HEAD[FACE])
    assert corresponding_nme(moved, HEAD[FACE]) < 1e-9
    slid = HEAD[FACE] + 0.002 * np.random.default_rng(0).choice((-1.0, 1.0), (len(FACE), 1)) * [0.0, 0.0, 1.0]
    assert corresponding_nme(slid, HEAD[FACE]) == pytest.approx(0.002 / box_size(HEAD[FACE]), rel=0.01)


def test_landmarks_are_measured_in_the_box_of_the_true_ones() -> None:
    truth = np.zeros((2, 68, 2))
    truth[:, 0], truth[:, 1] = (10.0, 20.0), (50.0, 110.0)
    truth[:, 2:] = (30.0, 60.0)
    found = truth + (3.0, 4.0)
    np.testing.assert_allclose(landmark_nme(found, truth), [5.0 / 60.0] * 2)

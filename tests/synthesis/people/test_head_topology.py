import numpy as np

from facerecon_ray.geometry.mesh_topology import boundary_loops, triangle_parts
from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.head_topology import HeadTopology, fit_sphere


def test_sphere_is_found_from_part_of_its_surface() -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(2, 40, 3))
    directions[..., 2] = np.abs(directions[..., 2])
    centres, radii = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]]), np.array([0.5, 2.0])
    points = centres[:, None] + radii[:, None, None] * directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    found_centres, found_radii = fit_sphere(points)
    np.testing.assert_allclose(found_centres, centres, atol=1e-9)
    np.testing.assert_allclose(found_radii, radii, atol=1e-9)


def test_outside_is_one_surface_open_only_at_the_neck(sampler: HeadSampler, topology: HeadTopology) -> None:
    assert len(set(triangle_parts(topology.triangles))) == 1
    (neck,) = boundary_loops(topology.triangles)
    surface = topology.surface(sampler.average()[None])[0]
    assert surface[neck][:, 1].max() < surface[:, 1].min() + 0.03


def test_caps_are_wound_like_the_skin_around_them(topology: HeadTopology) -> None:
    directed = np.concatenate([topology.triangles[:, [k, (k + 1) % 3]] for k in range(3)])
    assert len(np.unique(directed, axis=0)) == len(directed), "two triangles share an edge in opposite directions"


def test_eye_caps_lie_on_the_eyeballs_of_every_head(sampler: HeadSampler, topology: HeadTopology) -> None:
    heads = sampler.shapes(5, np.random.default_rng(0))
    for cap in topology.caps[:2]:
        centre, radius = fit_sphere(heads[:, cap.eyeball])
        distance = np.linalg.norm(cap.positions(heads) - centre[:, None], axis=-1)
        np.testing.assert_allclose(distance, np.broadcast_to(radius[:, None], distance.shape), rtol=1e-4)
    assert topology.caps[0].eyeball.size
    assert topology.caps[1].eyeball.size
    assert not topology.caps[2].eyeball.size, "the third cap is the mouth"

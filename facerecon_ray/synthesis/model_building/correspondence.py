"""Which point of a scans model each vertex of the face model's skin is: one dense correspondence, found once.

The two mean heads are laid on each other by their lids and lips, the skin is bent onto the scans' surface with its
rims pinned to theirs, and every vertex takes the place where it comes to rest. What has none (the inside of the
nostrils and the ears' folds differ) follows its neighbours.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import splu

from facerecon_ray.geometry.nonrigid_registration import Target, bend_onto, laplacian, normals_of
from facerecon_ray.geometry.openings import halves
from facerecon_ray.geometry.surface import Surface
from facerecon_ray.synthesis.model_building.scans_model import NOSE_TIP, ScansModel, edge_graph, laid_onto

LIP_REACH, LIP_LEAD = 0.008, 0.006
"""Metres along the surface: a vertex so near to one lip's rim, and by so much nearer than to the other's, is of that
lip and cannot come to rest on the other one; near the corners none is."""

AT_REST = 0.001
"""Metres from the scans' surface beyond which a vertex has found no place."""

FACING = 0.3
"""Cosine between the normals below which a vertex has found no place."""

MILLIMETRE = 0.001


@dataclass(frozen=True, eq=False)
class Correspondence:
    """The skin's vertices on a scans model.

    carries      (N, V) sparse: values at the scans model's vertices to values at the skin's
    mean         (N, 3) the scans model's mean head on the skin's vertices, in the skin's frame and size, metres
    scale, rotation, translation  of the scans model's frame to the skin's
    residual     (N,) metres between where each vertex came to rest and the scans' surface
    placed       (N,) bool, false for those that follow their neighbours
    """

    carries: sparse.csr_matrix
    mean: np.ndarray
    scale: float
    rotation: np.ndarray
    translation: np.ndarray
    residual: np.ndarray
    placed: np.ndarray

    def into_frame(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) points of the scans model's frame in the skin's."""
        return self.scale * points @ self.rotation.T + self.translation

    def turn(self, offsets: np.ndarray) -> np.ndarray:
        """(..., 3) offsets of the scans model's frame in the skin's."""
        return self.scale * offsets @ self.rotation.T

    def offsets(self, offsets: np.ndarray) -> np.ndarray:
        """(K, N, 3) offsets of the skin's vertices for those (K, V, 3) of the scans model's."""
        count = len(offsets)
        flat = np.moveaxis(offsets, 1, 0).reshape(offsets.shape[1], -1)
        carried = (self.carries @ flat.astype(np.float64)).reshape(-1, count, 3)
        return self.turn(np.moveaxis(carried, 0, 1))


def find_correspondence(
    skin: np.ndarray, triangles: np.ndarray, rims: dict[str, np.ndarray], ears: np.ndarray, scans: ScansModel
) -> Correspondence:
    """Lay a skin onto a scans model.

    Parameters
    ----------
    skin : (N, 3) mean head, metres, model frame, with openings at the eyes and the mouth
    triangles : (T, 3) over it
    rims : the openings' loops of vertices: right_eye, left_eye, mouth
    ears : (N,) bool, vertices that move together
    scans : the scans model
    """
    theirs = scans.rims()
    matched = {name: match_loops(skin[rim], scans.mean[theirs[name]]) for name, rim in rims.items()}
    order = sorted(rims)
    pins = np.concatenate([rims[name] for name in order])
    own = np.concatenate([skin[pins], _nose_tip(skin, rims)[None]])
    wanted = np.concatenate([*(matched[name] for name in order), scans.mean[scans.landmarks[NOSE_TIP]][None]])
    weighted = np.r_[np.arange(len(pins)), np.full(len(pins) // 2, len(pins))]
    scale, rotation, translation = laid_onto(wanted[weighted], own[weighted])
    base = scale * scans.mean @ rotation.T + translation
    places = (scale * wanted @ rotation.T + translation)[: len(pins)]
    skin_of_scans = scans.of_part("skin")
    side, their_side = (
        _Lips.of(points, faces, loop).side
        for points, faces, loop in ((skin, triangles, rims["mouth"]), (base, skin_of_scans, theirs["mouth"]))
    )
    targets = [
        Target(side == lip, Surface(base, skin_of_scans[(their_side[skin_of_scans] != 3 - lip).all(1) | (lip == 0)]))
        for lip in (0, 1, 2)
    ]
    bent = bend_onto(skin, triangles, targets, pins, places, np.where(ears, 10.0, 1.0))
    corners, weights = np.zeros((len(skin), 3), np.int64), np.zeros((len(skin), 3))
    for target in targets:
        corners[target.vertices], weights[target.vertices] = target.surface.locate(bent[target.vertices])
    resting = np.einsum("nkc,nk->nc", base[corners], weights)
    normal = np.einsum("nkc,nk->nc", normals_of(base, skin_of_scans)[corners], weights)
    residual = np.linalg.norm(bent - resting, axis=1)
    placed = (residual < AT_REST) & ((normals_of(bent, triangles) * normal).sum(1) > FACING)
    placed[pins] = True
    follows = _follow(len(skin), triangles, placed)
    at = sparse.coo_matrix(
        (weights.ravel(), (np.repeat(np.arange(len(skin)), 3), corners.ravel())), (len(skin), len(base))
    )
    return Correspondence(
        carries=(follows @ at.tocsr()[np.flatnonzero(placed)]).tocsr(),
        mean=bent + follows @ (resting - bent)[placed],
        scale=scale,
        rotation=rotation,
        translation=translation,
        residual=residual,
        placed=placed,
    )


def match_loops(loop: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Places on one closed loop for the points of another: by length along the upper and the lower half.

    Parameters
    ----------
    loop : (n, 3) points around an opening, x to the side and y up; the halves meet where x is smallest and largest
    other : (m, 3) likewise

    Returns
    -------
    (n, 3) points on the other loop
    """
    places = np.zeros_like(loop)
    for own, their in zip(halves(loop), halves(other), strict=True):
        along, points = _share(loop[own]), other[their]
        places[own] = np.stack([np.interp(along, _share(points), points[:, axis]) for axis in range(3)], 1)
    return places


def _share(points: np.ndarray) -> np.ndarray:
    length = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    return length / length[-1]


def _nose_tip(skin: np.ndarray, rims: dict[str, np.ndarray]) -> np.ndarray:
    """(3,) the foremost point between mouth and eyes."""
    mouth = skin[rims["mouth"], 1].max()
    eyes = (skin[rims["right_eye"], 1].mean() + skin[rims["left_eye"], 1].mean()) / 2
    between = skin[(skin[:, 1] > mouth + 0.015) & (skin[:, 1] < eyes)]
    return between[between[:, 2].argmax()]


@dataclass(frozen=True, eq=False)
class _Lips:
    """A mesh with a rim between its lips."""

    graph: sparse.csr_matrix
    loop: np.ndarray
    points: np.ndarray

    @staticmethod
    def of(vertices: np.ndarray, triangles: np.ndarray, loop: np.ndarray) -> "_Lips":
        return _Lips(edge_graph(vertices, triangles), loop, vertices)

    @cached_property
    def side(self) -> np.ndarray:
        """(N,) 1 for the upper lip, 2 for the lower one, 0 elsewhere."""
        upper, lower = halves(self.points[self.loop])
        to_upper, to_lower = (
            csgraph.dijkstra(self.graph, indices=self.loop[half[1:-1]], min_only=True, limit=LIP_REACH + LIP_LEAD)
            for half in (upper, lower)
        )
        side = np.zeros(len(self.points), int)
        side[(to_upper < LIP_REACH) & (to_lower > to_upper + LIP_LEAD)] = 1
        side[(to_lower < LIP_REACH) & (to_upper > to_lower + LIP_LEAD)] = 2
        return side


def _follow(count: int, triangles: np.ndarray, placed: np.ndarray) -> sparse.csr_matrix:
    """(count, placed) values of all vertices for those of the placed ones, as smooth as can be in between."""
    bending = laplacian(count, triangles)
    form = (bending.T @ bending).tocsr()
    loose, fixed = np.flatnonzero(~placed), np.flatnonzero(placed)
    matrix = sparse.lil_matrix((count, len(fixed)))
    matrix[fixed, np.arange(len(fixed))] = 1.0
    if len(loose):
        matrix[loose] = -splu(form[loose][:, loose].tocsc()).solve(form[loose][:, fixed].toarray())
    return matrix.tocsr()

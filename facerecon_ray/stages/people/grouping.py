"""Which faces show the same person, by their descriptors.

Good faces found groups, each its own at first. Pairs of near neighbours are gone through, the nearest first, and their
groups become one where the mean over all pairs of their faces is small enough (average linkage of squared distances,
after Sokal and Michener, 1958): one face that resembles two people does not chain them together. Sums of descriptors
and of their squares are enough for that mean, so a group may be of any size. Poor faces join the nearest group where
it is clearly the nearest. Faces that were followed through a clip are one group from the start, if any of them is
good. Two faces of one photo are never one person, and persons that are known stay apart and keep their faces.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import faiss
import numpy as np

from facerecon_ray.config.people import GroupingSettings
from facerecon_ray.stages.people.following import UNFOLLOWED

NOBODY = -1
"""Number of the person of a face that is nobody's."""

NEIGHBOURS, JOIN_NEIGHBOURS = 16, 8
"""Nearest faces that are looked at, for groups and for poor faces."""

EXACT = 20_000
"""Faces up to which all are compared with all; of more, those in cells of the space that lie near each other."""

CELL_FACES, CELLS_SEARCHED, TRAINING_FACES = 250, 8, 40
"""Faces in a cell in the mean, cells in which a face looks for neighbours, and faces by which a cell is placed."""
TRACK_FACES = 4
"""Faces of a track that are held against others."""

PAIRS_AT_ONCE = 100_000
"""Pairs that become Python's numbers at a time: all at once they would need gigabytes."""


@dataclass(frozen=True)
class GroupedFaces:
    """What is known of N faces.

    descriptor  (N, 128) float32
    photo       (N,) int64, number of the photo
    good        (N,) bool, whether the face may found a group
    known       (N,) int64, number of the person that the face is known to belong to, or NOBODY
    track       (N,) int64, number of the track on which it was followed, or UNFOLLOWED
    """

    descriptor: np.ndarray
    photo: np.ndarray
    good: np.ndarray
    known: np.ndarray
    track: np.ndarray


def group_faces(faces: GroupedFaces, settings: GroupingSettings) -> np.ndarray:
    """(N,) number of each face's person: those that are known have theirs, new ones follow on, or NOBODY."""
    groups = _Groups(faces)
    founders = _compared(faces)
    for first, second in _pairs(faces.descriptor, founders, settings.same_person):
        groups.join(first, second, settings.same_person**2)
    _join_poor(groups, faces, settings)
    return groups.numbers()


def _compared(faces: GroupedFaces) -> np.ndarray:
    """Good faces that are held against others: of each track a few, for those nearest to any are on the same track."""
    good = np.flatnonzero(faces.good)
    of_track: dict[int, list[int]] = {}
    for face in good[faces.track[good] != UNFOLLOWED].tolist():
        of_track.setdefault(int(faces.track[face]), []).append(face)
    some = [track[:: -(-len(track) // TRACK_FACES)] for track in of_track.values()]
    return np.sort(np.concatenate([good[faces.track[good] == UNFOLLOWED], *some]).astype(np.int64))


class _Groups:
    """Groups of faces, each named by one of them."""

    def __init__(self, faces: GroupedFaces) -> None:
        count = len(faces.photo)
        self._parent = list(range(count))
        self._count = [1] * count
        self._sum = faces.descriptor.astype(np.float32)
        self._squares = (self._sum**2).sum(1).tolist()
        self._person = faces.known.tolist()
        self._grouped = (faces.good | (faces.known != NOBODY)).tolist()
        _, of_photo, faces_in = np.unique(faces.photo, return_inverse=True, return_counts=True)
        crowded = np.flatnonzero(faces_in[of_photo] > 1)
        self._photos = {int(face): {int(faces.photo[face])} for face in crowded}
        self._restore(faces)
        self._follow(faces)

    @property
    def grouped(self) -> np.ndarray:
        """(N,) bool, whether a face is in a group by now."""
        return np.array(self._grouped, bool)

    def _follow(self, faces: GroupedFaces) -> None:
        """Tracks with a good face; where they meet several known persons, these stay apart."""
        followed = np.flatnonzero(faces.track != UNFOLLOWED)
        lead: dict[int, int] = {}
        for face in followed[np.argsort(~faces.good[followed], kind="stable")].tolist():
            track, is_known = int(faces.track[face]), self._person[self.root(face)] != NOBODY
            if track not in lead:
                if faces.good[face]:
                    lead[track] = face
                continue
            first, second = self.root(lead[track]), self.root(face)
            is_other = is_known and self._person[first] != NOBODY
            if first != second and not is_other and self._may_meet(first, second):
                self._merge(first, second, counts=bool(faces.good[face] or is_known))
                self._grouped[face] = True

    def _restore(self, faces: GroupedFaces) -> None:
        """The groups of persons that are known; their poor faces count only where there are no others."""
        members = np.flatnonzero(faces.known != NOBODY)
        order = members[np.lexsort((~faces.good[members], faces.known[members]))]
        first: dict[int, int] = {}
        for face in order.tolist():
            lead = first.setdefault(self._person[face], face)
            if lead != face:
                self._merge(lead, face, counts=bool(faces.good[face] or not faces.good[lead]))

    def root(self, face: int) -> int:
        """The face that names a face's group."""
        parent = self._parent
        while parent[face] != face:
            parent[face] = parent[parent[face]]
            face = parent[face]
        return face

    def join(self, first: int, second: int, most: float) -> None:
        """Make one group of those of two faces, unless they are too far apart or known to be two persons."""
        first, second = self.root(first), self.root(second)
        if first == second or (self._person[first] != NOBODY and self._person[second] != NOBODY):
            return
        if self.apart(first, second) < most and self._may_meet(first, second):
            self._merge(first, second)

    def apart(self, first: int, second: int) -> float:
        """Mean squared distance between the faces of two groups."""
        n, m = self._count[first], self._count[second]
        between = float(self._sum[first] @ self._sum[second])
        return self._squares[first] / n + self._squares[second] / m - 2 * between / (n * m)

    def take_in(self, group: int, face: int) -> bool:
        """Let a poor face join, which does not change what the group looks like; False where its photo is there."""
        if not self._may_meet(group, face):
            return False
        self._merge(group, face, counts=False)
        self._grouped[face] = True
        return True

    def numbers(self) -> np.ndarray:
        """(N,) persons' numbers."""
        roots = [self.root(face) if grouped else NOBODY for face, grouped in enumerate(self._grouped)]
        following = max([NOBODY, *self._person]) + 1
        number_of: dict[int, int] = {NOBODY: NOBODY}
        for root in roots:
            if root not in number_of:
                known = self._person[root]
                number_of[root] = known if known != NOBODY else following
                following += known == NOBODY
        return np.array([number_of[root] for root in roots], np.int64)

    def _may_meet(self, first: int, second: int) -> bool:
        photos = self._photos
        return first not in photos or second not in photos or photos[first].isdisjoint(photos[second])

    def _merge(self, lead: int, other: int, counts: bool = True) -> None:
        self._parent[other] = lead
        if self._person[lead] == NOBODY:
            self._person[lead] = self._person[other]
        if other in self._photos:
            self._photos[lead] = self._photos.get(lead, set()) | self._photos.pop(other)
        if counts:
            self._count[lead] += self._count[other]
            self._sum[lead] += self._sum[other]
            self._squares[lead] += self._squares[other]


def _pairs(descriptors: np.ndarray, founders: np.ndarray, most: float) -> Iterator[tuple[int, int]]:
    """Pairs of near founders, the nearest first."""
    if len(founders) < 2:
        return
    apart, near = _neighbours(descriptors[founders], descriptors[founders], NEIGHBOURS + 1)
    own = np.arange(len(founders))[:, None]
    wanted = (near > own) | ((near >= 0) & (near < own) & ~_mutual(near))
    wanted &= apart < (1.5 * most) ** 2
    row, column = np.nonzero(wanted)
    order = np.argsort(apart[row, column], kind="stable")
    first, second = founders[row[order]], founders[near[row[order], column[order]]]
    for start in range(0, len(first), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        yield from zip(first[some].tolist(), second[some].tolist(), strict=True)


def _mutual(near: np.ndarray) -> np.ndarray:
    """(N, K) whether a neighbour of a face has the face among its own."""
    found = np.zeros(near.shape, bool)
    own = np.arange(len(near))
    for column in range(near.shape[1]):
        found[:, column] = (near[near[:, column]] == own[:, None]).any(1)
    return found


def _join_poor(groups: _Groups, faces: GroupedFaces, settings: GroupingSettings) -> None:
    """Let poor faces join the persons to whom they are clearly nearest, the nearest face first."""
    grouped, poor = np.flatnonzero(groups.grouped), np.flatnonzero(~groups.grouped)
    if not len(poor) or not len(grouped):
        return
    near = grouped[_neighbours(faces.descriptor[grouped], faces.descriptor[poor], JOIN_NEIGHBOURS)[1]]
    wanted = []
    for face, candidates in zip(poor.tolist(), near.tolist(), strict=True):
        roots = list(dict.fromkeys(groups.root(candidate) for candidate in candidates))
        apart = sorted((max(groups.apart(root, face), 0.0) ** 0.5, root) for root in roots)
        lead = apart[1][0] - apart[0][0] if len(apart) > 1 else np.inf
        if apart[0][0] < settings.join_distance and lead >= settings.join_lead:
            wanted.append((apart[0][0], face, apart[0][1]))
    for _, face, root in sorted(wanted):
        groups.take_in(root, face)


def _neighbours(stored: np.ndarray, wanted: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(M, K) squared distances and rows of the nearest descriptors stored (N, 128) to those wanted (M, 128)."""
    count = min(count, len(stored))
    size = stored.shape[1]
    if len(stored) <= EXACT:
        index: faiss.Index = faiss.IndexFlatL2(size)
    else:
        cells = len(stored) // CELL_FACES
        half = faiss.ScalarQuantizer.QT_fp16
        by_cells = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatL2(size), size, cells, half, faiss.METRIC_L2, False)
        by_cells.nprobe, by_cells.cp.max_points_per_centroid = CELLS_SEARCHED, TRAINING_FACES
        by_cells.train(stored)
        index = by_cells
    index.add(stored)
    apart, rows = index.search(np.ascontiguousarray(wanted), count)
    return np.where(rows < 0, np.inf, apart), np.where(rows < 0, 0, rows)

"""Faces followed through clips: from frame to frame a face stays about where it was, however it turns.

So a face in profile, which the face recognition network hardly knows, is known by where it was before it turned.
"""

from dataclasses import dataclass

import numpy as np

LONGEST_GAP = 2.0
"""Seconds for which a face that is followed may not be found."""

LEAST_OVERLAP = 0.3
"""Of the boxes of one face in two frames, the share of their union that both cover."""

MOST_APART = 0.55
"""Distance between the descriptors of a face that turns; after a cut somebody else may be in the same place."""

UNFOLLOWED = -1
"""Track of a face in a photo."""


@dataclass(frozen=True)
class FramedFaces:
    """N faces.

    clip        (N,) int64, number of the clip; UNFOLLOWED for faces in photos
    seconds     (N,) since the clip's beginning
    box         (N, 4) x0, y0, x1, y1 in pixels
    descriptor  (N, 128)
    """

    clip: np.ndarray
    seconds: np.ndarray
    box: np.ndarray
    descriptor: np.ndarray


def follow(faces: FramedFaces) -> np.ndarray:
    """(N,) int64 number of each face's track, from 0, or UNFOLLOWED."""
    track_of = np.full(len(faces.clip), UNFOLLOWED, np.int64)
    count = 0
    framed = np.flatnonzero(faces.clip != UNFOLLOWED)
    framed = framed[np.lexsort((faces.seconds[framed], faces.clip[framed]))]
    ends = np.flatnonzero(np.diff(faces.clip[framed])) + 1
    for clip in np.split(framed, ends) if len(framed) else ():
        for track in _tracks(faces, clip):
            track_of[track] = count
            count += 1
    return track_of


def _tracks(faces: FramedFaces, clip: np.ndarray) -> list[list[int]]:
    """Tracks of one clip, whose faces are given in the order of time."""
    tracks: list[list[int]] = []
    for frame in np.split(clip, np.flatnonzero(np.diff(faces.seconds[clip])) + 1):
        now = faces.seconds[frame[0]]
        going = [track for track in tracks if now - faces.seconds[track[-1]] <= LONGEST_GAP]
        left = set(frame.tolist())
        for track, face in _matches(faces, going, frame):
            if face in left and track[-1] not in frame:
                track.append(face)
                left.discard(face)
        tracks += [[face] for face in sorted(left)]
    return tracks


def _matches(faces: FramedFaces, tracks: list[list[int]], frame: np.ndarray) -> list[tuple[list[int], int]]:
    """Tracks and faces of a frame that may go on them, those that overlap most first."""
    if not tracks:
        return []
    last = np.array([track[-1] for track in tracks])
    overlap = _overlap(faces.box[last], faces.box[frame])
    apart = np.linalg.norm(faces.descriptor[last][:, None] - faces.descriptor[frame], axis=-1)
    rows, columns = np.nonzero((overlap >= LEAST_OVERLAP) & (apart <= MOST_APART))
    order = np.argsort(-overlap[rows, columns], kind="stable")
    return [(tracks[rows[pair]], int(frame[columns[pair]])) for pair in order]


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(A, B) intersection over union of boxes (A, 4) and (B, 4)."""
    low = np.maximum(first[:, None, :2], second[:, :2])
    high = np.minimum(first[:, None, 2:], second[:, 2:])
    both = (high - low).clip(min=0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    return np.asarray(both / (areas[0][:, None] + areas[1] - both).clip(min=1e-6))

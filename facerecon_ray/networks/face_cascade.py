"""Faces of any size and roll: a small network proposes places, dlib's detector decides in one window at each.

The photo's pyramid, over which dlib's network would run to find them itself, is never computed: its cost grows with
the square of how small a face may be, and faces that do not stand upright it would not find at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.networks.device import multiplies_bfloat16
from facerecon_ray.networks.face_proposer import LARGEST, SIDE_MULTIPLE, STRIDE, FaceProposer, read_proposals
from facerecon_ray.networks.face_windows import WINDOW_SIDE, cut_windows, score_windows
from facerecon_ray.networks.folded_norms import folded
from facerecon_ray.networks.mmod import SUPPRESSION_OVERLAP, Detections, MmodDetector, suppress
from facerecon_ray.networks.packed_convolutions import packed

SMALLEST_SEEN = 12.0
"""Pixels that the smallest wanted face has in the largest copy of the photo that the proposer sees."""

LEVEL_SHRINK = 4
"""Each copy is so many times smaller than the one before: the network sees faces over a range of 4.7."""

MOST_ENLARGEMENT = 2.0

GREY, APART = 128, 16
"""Value of what is no picture, and pixels of it between two pictures."""

LEAST_SCORE = 0.12
"""Proposals below are not looked at. With 0.08 the same 111 of 115 faces of 72 photos are found, with 0.2 one less
(benchmarks/detectors.py)."""

MOST_PROPOSALS = 400
"""Of a photo so many proposals at most are looked at, the likeliest."""

SAME_PROPOSAL = 0.55
"""Overlap (intersection over union) from which on the less likely of two proposals is not looked at."""

SAME_FACE = 0.25
"""Overlap from which on a less likely proposal is looked at only if dlib's detector refuses the likelier one."""

TWICE_AS_LARGE = 2.0

SECOND_LOOK = 0.25
"""Proposals of at least this score that dlib's detector refuses are looked at again, a little larger, a little smaller
and otherwise rolled, unless they lie in a face that was found."""

SECOND_SIZES, SECOND_ROLLS = (1.25, 0.8, 1.0, 1.0, 1.0), (0.0, 0.0, 60.0, -60.0, 180.0)


@dataclass(frozen=True)
class _Places:
    """Places of one photo: centres (K, 2) and sizes (K,) in its pixels, rolls (K,) in degrees, scores (K,)."""

    centres: np.ndarray
    sizes: np.ndarray
    rolls: np.ndarray
    scores: np.ndarray

    def chosen(self, index: np.ndarray) -> "_Places":
        return _Places(self.centres[index], self.sizes[index], self.rolls[index], self.scores[index])

    @property
    def boxes(self) -> np.ndarray:
        """(K, 4) x0, y0, x1, y1 of squares of that size."""
        half = self.sizes[:, None] / 2
        return np.concatenate([self.centres - half, self.centres + half], 1)

    @staticmethod
    def joined(parts: Sequence["_Places"]) -> "_Places":
        names = ("centres", "sizes", "rolls", "scores")
        return _Places(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


EXAMPLE_SIDE = 640
"""Pixels of a side of the picture for which the proposer's weights are laid out."""


class FaceCascade:
    """The proposer and dlib's network on one device.

    Parameters
    ----------
    proposer : with its weights
    judge : dlib's network
    device : where both run
    """

    def __init__(self, proposer: FaceProposer, judge: MmodDetector, device: torch.device) -> None:
        number = torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
        self._device, self._number = device, number
        self._proposer = folded(proposer.eval()).to(device, number).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._judge = judge.to(device, number)
        packed(self._proposer, self._input(np.zeros((EXAMPLE_SIDE, EXAMPLE_SIDE, 3), np.uint8)))
        packed(self._judge, torch.zeros(1, 3, WINDOW_SIDE, WINDOW_SIDE, device=device, dtype=number))

    def detect(self, photo: np.ndarray, smallest: float, min_score: float) -> Detections:
        """Find the faces of one photo.

        Parameters
        ----------
        photo : (H, W, 3) uint8 RGB
        smallest : side of the smallest face that is wanted, pixels of this photo
        min_score : lowest score of dlib's detector that is a face
        """
        places = self._proposals(photo, smallest)
        first = np.array(suppress(places.boxes, SAME_FACE), int)
        judged = self._judged(photo, places.chosen(first))
        left = places.chosen(np.setdiff1d(np.arange(len(places.scores)), first))
        faces = judged.chosen(np.flatnonzero(judged.scores > min_score))
        left = left.chosen(np.flatnonzero(~_lies_in(left, faces, TWICE_AS_LARGE)))
        asked = _Places.joined([places.chosen(first), left])
        found = _Places.joined([judged, self._judged(photo, left)])
        refused = (found.scores < min_score) & (asked.scores > SECOND_LOOK)
        again = np.flatnonzero(refused & ~_lies_in(asked, found.chosen(np.flatnonzero(found.scores > min_score))))
        if len(again):
            others = [
                _Places(part.centres, part.sizes * size, part.rolls + roll, part.scores)
                for part in (asked.chosen(again),)
                for size, roll in zip(SECOND_SIZES, SECOND_ROLLS, strict=True)
            ]
            found = _Places.joined([found, self._judged(photo, _Places.joined(others))])
        found = found.chosen(np.flatnonzero(found.scores > min_score))
        found = found.chosen(np.argsort(-found.scores, kind="stable"))
        found = found.chosen(np.array(suppress(found.boxes, SUPPRESSION_OVERLAP), int))
        rolls = (found.rolls + 180.0) % 360.0 - 180.0
        return Detections(*(part.astype(np.float32) for part in (found.boxes, found.scores, rolls)))

    def _judged(self, photo: np.ndarray, places: _Places) -> _Places:
        """Places with dlib's scores, moved to where its window fits best."""
        windows = cut_windows(photo, places.centres, places.sizes, places.rolls)
        scores, moves = score_windows(self._judge, windows, self._device, self._number)
        angle = np.deg2rad(places.rolls)
        cosine, sine = np.cos(angle), np.sin(angle)
        right, down = moves[:, 0] * cosine - moves[:, 1] * sine, moves[:, 0] * sine + moves[:, 1] * cosine
        centres = places.centres + np.stack([right, down], 1) * places.sizes[:, None]
        return _Places(centres, places.sizes, places.rolls, scores)

    @torch.inference_mode()
    def _proposals(self, photo: np.ndarray, smallest: float) -> _Places:
        """The proposer's places in all copies of a photo, the likeliest first."""
        copies = _copies(photo, smallest)
        parts = []
        for picture, maps in zip(copies, self._maps(copies[:1]) + self._maps(copies[1:]), strict=True):
            scales = np.array([picture.shape[1] / photo.shape[1], picture.shape[0] / photo.shape[0]])
            read = read_proposals(maps, LEAST_SCORE)
            centres, *others = (part.cpu().numpy() for part in (read.centres, read.sizes, read.rolls, read.scores))
            parts.append(_Places(centres / scales, others[0] / scales.mean(), *others[1:]))
        places = _Places.joined(parts)
        places = places.chosen(np.argsort(-places.scores, kind="stable")[:MOST_PROPOSALS])
        return places.chosen(np.array(suppress(places.boxes, SAME_PROPOSAL), int))

    def _maps(self, pictures: list[np.ndarray]) -> list[Tensor]:
        """The network's maps of pictures, which it sees beside one another: small ones cost as much as larger ones."""
        if len(pictures) < 2:
            return [self._proposer(self._input(picture))[0] for picture in pictures]
        lefts = np.cumsum([0] + [picture.shape[1] + APART + -picture.shape[1] % STRIDE for picture in pictures])
        wall = np.full((max(len(picture) for picture in pictures), int(lefts[-1]) - APART, 3), GREY, np.uint8)
        for left, picture in zip(lefts, pictures, strict=False):
            wall[: len(picture), left : left + picture.shape[1]] = picture
        maps = self._proposer(self._input(wall))[0]
        return [
            maps[:, : -(-len(picture) // STRIDE), left // STRIDE : -(-(left + picture.shape[1]) // STRIDE)]
            for left, picture in zip(lefts.tolist(), pictures, strict=False)
        ]

    def _input(self, picture: np.ndarray) -> Tensor:
        """(1, 3, H, W) in [0, 1], grey beyond the picture."""
        pixels = torch.from_numpy(picture).to(self._device).permute(2, 0, 1)[None].to(self._number) / 255
        missing = [-side % SIDE_MULTIPLE for side in picture.shape[1::-1]]
        padded = functional.pad(pixels, (0, missing[0], 0, missing[1]), value=GREY / 255)
        return padded.contiguous(memory_format=torch.channels_last)


def _lies_in(places: _Places, faces: _Places, most_factor: float = np.inf) -> np.ndarray:
    """(K,) whether the middle of a place lies in a face that is at most so many times larger or smaller."""
    apart = np.abs(places.centres[:, None] - faces.centres[None]).max(-1)
    factor = np.exp(np.abs(np.log(places.sizes[:, None] / faces.sizes[None])))
    return np.asarray(((apart < faces.sizes[None] / 2) & (factor <= most_factor)).any(1))


def _copies(photo: np.ndarray, smallest: float) -> list[np.ndarray]:
    """The copies of a photo that the proposer sees, from that which shows the smallest faces on."""
    scale = min(SMALLEST_SEEN / smallest, MOST_ENLARGEMENT)
    copies = [_scaled(photo, scale)]
    while LARGEST / scale < max(photo.shape[:2]) and min(copies[-1].shape[:2]) >= 2 * LEVEL_SHRINK:
        scale /= LEVEL_SHRINK
        copies.append(_scaled(copies[-1], 1 / LEVEL_SHRINK))
    return copies


def _scaled(picture: np.ndarray, scale: float) -> np.ndarray:
    height, width = picture.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return np.ascontiguousarray(picture)
    scaled: np.ndarray = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return scaled

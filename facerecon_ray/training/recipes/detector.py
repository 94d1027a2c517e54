"""How the proposer of the face detector learns: scenes of many faces, of which dlib's detector says which count."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.config.training import DetectorTraining
from facerecon_ray.errors import InputError, PhotoError
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.networks.dlib_models import installed_model
from facerecon_ray.networks.face_detectors import MMOD_MODEL, TorchMmod
from facerecon_ray.networks.face_proposer import STRIDE, USUAL_SIZE, FaceProposer, Proposals, read_proposals
from facerecon_ray.networks.face_windows import cut_windows, score_windows
from facerecon_ray.networks.mmod import MmodDetector
from facerecon_ray.report.training_pictures import found_faces_picture
from facerecon_ray.storage.photos.photo_file import decode_photo
from facerecon_ray.storage.uris import is_photo_name
from facerecon_ray.synthesis.crowds import Crowd, CrowdComposer, FaceCut
from facerecon_ray.synthesis.rendering.backgrounds import Backgrounds
from facerecon_ray.training.recipes.augmentation import photographed
from facerecon_ray.training.recipes.recipe import Recipe, Tensors

CROP_FACE = ((124.5, 129.7), 143.0)
"""Middle and side of dlib's window around the face of a crop, pixels: what the rules say by which a crop follows from
dlib's window."""

PORTRAIT_SIDE = 2.2
"""Side of what is cut out of a portrait, in sides of dlib's window."""

PORTRAIT_DETECTION = 256
"""Pixels of the longer side at which dlib's detector looks at portraits, whose faces are large."""

TINT, TINT_SPREAD, TINTED = (1.0, 0.8, 0.68), (0.05, 0.07, 0.1), 0.6
"""Skin's colour as factors of a grey, their spread, and the share of the grey portraits that get it: else whatever is
grey in a coloured scene would be a face."""

BACKGROUND_SIDE = 512

SPREAD, LEAST_SPREAD = 0.12, 0.55
"""Standard deviation of the mark of a middle, as a share of the face's side; and at least, in cells."""

LEARNT_FROM = 0.3
"""Cells where that mark is higher learn place, size and roll of the face."""

PROPOSED = 0.1
"""Score from which on a proposal counts in the figures."""

MEASURED_SCENES = 6
"""Scenes for each row by which the network is measured: a scene has two faces that count, or none."""

NEAR, ALIKE, TURNED = 0.3, 1.25, 40.0
"""How far a proposal may be off for dlib's detector to see the face: shares of its side, a factor, degrees."""


class DetectorRecipe(Recipe):
    """Mark the middles of faces; regress their places, sizes and rolls.

    A face that dlib's detector itself does not find in its window is neither to be proposed nor not to be.
    """

    columns: ClassVar[tuple[str, ...]] = ("crop", "pose")
    result: ClassVar[str] = "detector"
    goal: ClassVar[str] = "missed"

    def __init__(self, settings: DetectorTraining, device: torch.device) -> None:
        self._settings, self._device = settings, device
        self._network = FaceProposer()
        self.modules = {self.result: self._network}
        drawn = Backgrounds(settings.backgrounds)
        seeds = range(settings.seed, settings.seed + settings.background_count)
        self._composer = CrowdComposer(settings.crowds, [drawn.picture(seed, BACKGROUND_SIDE) for seed in seeds])
        self._portraits = read_portraits(settings.portraits) if settings.portraits else []
        self._teacher = MmodDetector.from_dlib(installed_model(MMOD_MODEL)).to(device)

    def losses(
        self, modules: Mapping[str, nn.Module], batch: Tensors, random: torch.Generator
    ) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Focal loss of the middles, and the errors of what is said about the faces there."""
        crowds = self._crowds(batch, int(torch.randint(2**31, [1], generator=random)))
        pictures = _pictures(crowds).to(self._device)
        seen = photographed(pictures[:, None], self._settings.augmentation, random)[:, 0]
        maps = modules[self.result](seen.contiguous(memory_format=torch.channels_last)).float()
        truth = _Truth.of(crowds, maps.shape[-1], self._device)
        weights = self._settings.losses
        turned = functional.normalize(maps[:, 4:6], dim=1)
        errors = {
            "places": (maps[:, 1:3] - truth.places).abs().sum(1),
            "sizes": (maps[:, 3] - truth.log_sizes).abs(),
            "rolls": 1.0 - (turned * truth.directions).sum(1) + 0.1 * (maps[:, 4:6].norm(dim=1) - 1.0).abs(),
        }
        parts = {"middles": weights.middles * focal_loss(maps[:, 0], truth.marks, truth.unsure)}
        total = truth.learnt.sum().clamp(min=1.0)
        for name, error in errors.items():
            parts[name] = getattr(weights, name) * (error * truth.learnt).sum() / total
        yield self.result, parts

    @torch.inference_mode()
    def figures(self, network: nn.Module, batch: Tensors) -> dict[str, Tensor]:
        """Figures of some scenes for each row.

        missed, missed_small     share of the faces that are not proposed, and of those below 20 pixels
        false                    proposals that are no face
        place_error, size_error  mean distance as a share of the side, and mean error of the logarithm of the size
        roll_error               degrees
        """
        rounds: list[dict[str, Tensor]] = []
        for seed in range(MEASURED_SCENES):
            crowds = self._crowds(batch, seed)
            rows = [
                _measured(crowd, read_proposals(maps, PROPOSED))
                for crowd, maps in zip(crowds, network(_pictures(crowds).to(self._device)), strict=True)
            ]
            rounds.append({name: torch.tensor([row[name] for row in rows]) for name in rows[0]})
        return {name: torch.stack([one[name] for one in rounds]).nanmean(0) for name in rounds[0]}

    @torch.inference_mode()
    def picture(self, network: nn.Module, batch: Tensors) -> np.ndarray:
        """Scenes with the faces that are there, and with those that are proposed."""
        crowds = self._crowds(batch, 0)
        maps = network(_pictures(crowds).to(self._device))
        found = [read_proposals(one, PROPOSED) for one in maps]
        return found_faces_picture(
            [crowd.picture for crowd in crowds],
            [np.column_stack([p.centres, p.sizes, p.rolls]) for p in (_on_cpu(one) for one in found)],
            [crowd.faces for crowd in crowds],
        )

    def _crowds(self, batch: Tensors, seed: int) -> list[Crowd]:
        """A scene for each row of a batch, with people of the whole batch and portraits."""
        own = _cuts(batch)
        share = self._settings.portrait_share
        crowds = []
        for row in range(len(own)):
            rng = np.random.default_rng((seed, row))
            faces = [
                self._portraits[rng.integers(len(self._portraits))]
                if self._portraits and rng.random() < share
                else own[rng.integers(len(own))]
                for _ in range(8)
            ]
            crowds.append(self._composer.compose(faces, rng))
        return self._taught(crowds)

    def _taught(self, crowds: list[Crowd]) -> list[Crowd]:
        """The scenes with only those faces that dlib's detector finds where they are enlarged."""
        windows = [cut_windows(crowd.picture, *_columns(crowd.faces)) for crowd in crowds]
        scores, _ = score_windows(self._teacher, np.concatenate(windows), self._device)
        taught, start = [], 0
        for crowd in crowds:
            found = scores[start : start + len(crowd.faces)] > 0.0
            start += len(crowd.faces)
            unsure = crowd.unsure.copy()
            for x, y, size, _ in crowd.faces[~found]:
                low, high = ((np.array([y, x]) + way * size / 2) / STRIDE for way in (-1, 1))
                (top, left), (bottom, right) = low.clip(0).astype(int), high.clip(0).astype(int) + 1
                unsure[top:bottom, left:right] = True
            taught.append(Crowd(crowd.picture, crowd.faces[found], unsure))
        return taught


class _Truth:
    """What the maps of B scenes are to say, (B, h, h) each, places and directions (B, 2, h, h).

    marks     1 in the cells of middles, falling off around them
    learnt    weights of the cells that learn what follows
    """

    def __init__(self, marks: Tensor, unsure: Tensor, learnt: Tensor, values: Tensor) -> None:
        self.marks, self.unsure, self.learnt = marks, unsure, learnt
        self.places, self.log_sizes, self.directions = values[:, :2], values[:, 2], values[:, 3:]

    @staticmethod
    def of(crowds: Sequence[Crowd], side: int, device: torch.device) -> "_Truth":
        count = len(crowds)
        marks, values = torch.zeros(count, side, side), torch.zeros(count, 5, side, side)
        unsure = torch.from_numpy(np.stack([crowd.unsure for crowd in crowds]))
        middles = torch.arange(side) + 0.5
        for row, crowd in enumerate(crowds):
            for x, y, size, roll in torch.from_numpy(crowd.faces):
                place = torch.stack([x, y]) / STRIDE
                spread = max(LEAST_SPREAD, SPREAD * float(size) / STRIDE)
                right, down = place[0] - middles[None, :], place[1] - middles[:, None]
                mark = torch.exp(-(right**2 + down**2) / (2 * spread**2))
                cell = place.floor().long().clamp(0, side - 1)
                mark[cell[1], cell[0]] = 1.0
                nearer = mark > marks[row]
                angle = torch.deg2rad(roll)
                told = [right.expand(side, side), down.expand(side, side)]
                told += [
                    torch.full((side, side), float(v))
                    for v in (torch.log(size / USUAL_SIZE), angle.cos(), angle.sin())
                ]
                values[row] = torch.where(nearer, torch.stack(told), values[row])
                marks[row] = torch.where(nearer, mark, marks[row])
        learnt = marks * (marks > LEARNT_FROM)
        return _Truth(*(part.to(device) for part in (marks, unsure & (marks < 1.0), learnt, values)))


def focal_loss(logits: Tensor, marks: Tensor, unsure: Tensor) -> Tensor:
    """Focal loss of CornerNet (Law and Deng, 2018), over the number of middles.

    Parameters
    ----------
    logits, marks : (B, h, h)
    unsure : (B, h, h) bool, cells that do not count
    """
    middle = marks == 1.0
    score = logits.sigmoid()
    hit = (1.0 - score).square() * functional.softplus(-logits)
    miss = (1.0 - marks) ** 4 * score.square() * functional.softplus(logits)
    loss = torch.where(middle, hit, torch.where(unsure, torch.zeros_like(miss), miss))
    return loss.sum() / middle.sum().clamp(min=1)


def read_portraits(folder: Path) -> list[FaceCut]:
    """The faces of a folder's photos that dlib's detector finds, the surest of each photo.

    Raises
    ------
    InputError
        when the folder has no photo with a face
    """
    teacher, cuts = TorchMmod(CropSettings(detector="mmod", device="cpu", detection_side=PORTRAIT_DETECTION)), []
    rng = np.random.default_rng(0)
    for path in sorted(path for path in folder.rglob("*") if is_photo_name(path.name)):
        try:
            pixels = decode_photo(path.read_bytes(), ReadSettings()).pixels
        except (PhotoError, OSError):
            continue
        found = teacher.detect([pixels])[0]
        if len(found.boxes):
            box = found.boxes[int(found.scores.argmax())]
            cuts.append(_portrait(_tinted(pixels, rng), (box[:2] + box[2:]) / 2, float(box[2] - box[0])))
    if not cuts:
        raise InputError(f"portraits: dlib's detector finds no face in the photos of {folder}")
    return cuts


def _tinted(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A grey portrait in the colours of skin, or as it is; a coloured one as it is."""
    if rng.random() >= TINTED or np.ptp(pixels.astype(np.int16), -1).mean() > 4.0:
        return pixels
    return np.round(pixels * rng.normal(TINT, TINT_SPREAD)).clip(0, 255).astype(np.uint8)


def _portrait(pixels: np.ndarray, centre: np.ndarray, size: float) -> FaceCut:
    side = round(min(CROP_SIZE, PORTRAIT_SIDE * size))
    zoom = side / (PORTRAIT_SIDE * size)
    offset = side / 2 - zoom * centre
    matrix = np.array([[zoom, 0.0, offset[0] + zoom / 2 - 0.5], [0.0, zoom, offset[1] + zoom / 2 - 0.5]])
    cut = cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return FaceCut(cut, (side / 2, side / 2), zoom * size, 0.0)


def _cuts(batch: Tensors) -> list[FaceCut]:
    pictures = np.ascontiguousarray(batch["crop"].permute(0, 2, 3, 1).cpu().numpy())
    return [
        FaceCut(picture, *CROP_FACE, roll)
        for picture, roll in zip(pictures, batch["pose"][:, 2].tolist(), strict=True)
    ]


def _pictures(crowds: Sequence[Crowd]) -> Tensor:
    """(B, 3, N, N) in [0, 1], channels last in memory."""
    return torch.from_numpy(np.stack([crowd.picture for crowd in crowds])).permute(0, 3, 1, 2).float() / 255


def _columns(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return faces[:, :2], faces[:, 2], faces[:, 3]


def _on_cpu(found: Proposals) -> Proposals:
    return Proposals(found.centres.cpu(), found.sizes.cpu(), found.rolls.cpu(), found.scores.cpu())


def _measured(crowd: Crowd, proposals: Proposals) -> dict[str, float]:
    """The figures of one scene; nan where it has no face."""
    found = _on_cpu(proposals)
    centres, sizes, rolls = (part.numpy() for part in (found.centres, found.sizes, found.rolls))
    place, size, roll = _columns(crowd.faces)
    apart = np.linalg.norm(centres[None] - place[:, None], axis=-1) / size[:, None]
    growth = np.abs(np.log(sizes[None] / size[:, None]))
    turn = np.abs((rolls[None] - roll[:, None] + 180.0) % 360.0 - 180.0)
    hits = (apart < NEAR) & (growth < np.log(ALIKE)) & (turn < TURNED)
    near = apart < 0.5
    cells = (centres / STRIDE).astype(int).clip(0, crowd.unsure.shape[0] - 1)
    wrong = ~near.any(0) & ~crowd.unsure[cells[:, 1], cells[:, 0]]
    missed = ~hits.any(1)
    small = size < 20.0

    def mean(values: np.ndarray) -> float:
        return float(values.mean()) if values.size else float("nan")

    return {
        "missed": mean(missed),
        "missed_small": mean(missed[small]),
        "false": float(wrong.sum()),
        "place_error": mean(apart[hits]),
        "size_error": mean(growth[hits]),
        "roll_error": mean(turn[hits]),
    }

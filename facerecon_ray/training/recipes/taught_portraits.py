"""Photos of real people of whom no truth is known, and what the fitter says of them when it looks many times.

What a network says of one crop under other frames, turns and in the mirror differs, and the mean is closer to the
truth than most of it: the mean is what a training may take for it (Radosavovic et al., Data Distillation, 2018). What
is learnt from it is that faces stay the same whatever the crop, light and blur.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.errors import InputError, PhotoError
from facerecon_ray.geometry.crop_transform import CROP_SIZE, crop_transform, cut_crop
from facerecon_ray.geometry.pose import rotation_from_angles
from facerecon_ray.networks.both_ways import look_both_ways
from facerecon_ray.networks.device import multiplies_bfloat16
from facerecon_ray.networks.fitter import INPUT_SIZE, FitterNetwork
from facerecon_ray.stages.face_finder import FaceFinder
from facerecon_ray.storage.photos.photo_file import decode_photo
from facerecon_ray.storage.uris import is_photo_name
from facerecon_ray.training.recipes.augmentation import Placement

LOOKS = ((1.0, 0.0), (1.12, 5.0), (0.9, -5.0), (1.05, -9.0), (0.96, 9.0))
"""Factors by which crops are enlarged for a look, and degrees by which they are turned."""

MOST_APART = 3.0
"""Crop pixels from their mean, root mean square, beyond which looks do not agree on a face, and it is left out."""


@dataclass(frozen=True)
class TaughtPortraits:
    """Crops of N faces, and what many looks at each say.

    crops         (N, 3, 256, 256) uint8
    points        (N, T, 2) the points from which coefficients follow, crop pixels
    coefficients  (N, S + E) of shape and expression
    """

    crops: Tensor
    points: Tensor
    coefficients: Tensor

    @staticmethod
    @torch.no_grad()
    def read(folder: Path, finder: FaceFinder, network: FitterNetwork) -> "TaughtPortraits":
        """Look at the surest face of each photo of a folder.

        Parameters
        ----------
        folder : of the photos
        finder : by which crops are cut
        network : the fitter that looks, in evaluation mode

        Raises
        ------
        InputError
            when no photo of the folder shows a face on which the looks agree
        """
        taught = [_taught(network, torch.from_numpy(crop).permute(2, 0, 1)[None]) for crop in _crops(folder, finder)]
        agreed = [portrait for portrait, apart in taught if apart < MOST_APART]
        if not agreed:
            raise InputError(f"portraits: no photo of {folder} shows a face that the fitter is sure of")
        return TaughtPortraits(
            torch.cat([portrait.crops for portrait in agreed]),
            torch.cat([portrait.points for portrait in agreed]),
            torch.cat([portrait.coefficients for portrait in agreed]),
        )

    def draw(self, count: int, random: torch.Generator) -> "TaughtPortraits":
        """So many of them, each as often as it comes."""
        drawn = torch.randint(len(self.crops), [count], generator=random).to(self.crops.device)
        return TaughtPortraits(self.crops[drawn], self.points[drawn], self.coefficients[drawn])


def _crops(folder: Path, finder: FaceFinder) -> Iterator[np.ndarray]:
    """(256, 256, 3) uint8 crops of the surest face of each photo that shows one."""
    for path in sorted(path for path in folder.rglob("*") if is_photo_name(path.name)):
        try:
            pixels = decode_photo(path.read_bytes(), ReadSettings()).pixels
        except PhotoError:
            continue
        found = finder.detect([pixels])[0]
        if len(found.boxes):
            best = slice(int(found.scores.argmax()), int(found.scores.argmax()) + 1)
            landmarks, rolls = finder.landmarks(pixels, found.boxes[best], found.rolls[best])
            yield cut_crop(pixels, crop_transform(landmarks, rolls)[0])


def _taught(network: FitterNetwork, crop: Tensor) -> tuple[TaughtPortraits, float]:
    """What all looks at a crop (1, 3, 256, 256) uint8 say, and how far they are apart, crop pixels."""
    device, looks, middle = network.telling.device, len(LOOKS), CROP_SIZE / 2
    zooms, rolls = torch.tensor(LOOKS, device=device).unbind(-1)
    still = torch.zeros(looks, 2, device=device)
    placement = Placement(zooms, rolls, still, torch.zeros(looks, dtype=torch.bool, device=device), CROP_SIZE)
    crops = crop.to(device).expand(looks, -1, -1, -1).float() / 255
    pictures = placement.pictures(crops, INPUT_SIZE).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bfloat16(device)):
        found = look_both_ways(network, pictures)
    points = (found.points - middle) @ torch.linalg.inv(placement.linear()).mT + middle
    back = rotation_from_angles(torch.stack([still[:, 0], still[:, 0], -rolls], -1))
    left, _, right = torch.linalg.svd((back @ found.rotation).mean(0, keepdim=True))
    mean = points.mean(0, keepdim=True)
    apart = float((points - mean).square().sum(-1).mean().sqrt())
    return TaughtPortraits(crop.to(device), mean, network.coefficients(mean, left @ right)), apart

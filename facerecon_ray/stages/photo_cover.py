"""Which part of a crop shows its photo: a face at a photo's edge is cut off there, and the crop goes on."""

import torch
from torch import Tensor

from facerecon_ray.geometry.crop_transform import photo_bounds
from facerecon_ray.stages.stage import Batch


def shown_bounds(batch: Batch) -> Tensor:
    """(B, 4, 3) float32 borders of the photos in crop pixels, as `photo_bounds` gives them.

    Input columns    crop_transform, photo_width, photo_height
    """
    return torch.from_numpy(photo_bounds(batch["crop_transform"], batch["photo_width"], batch["photo_height"]))

"""The generator that repairs a rotated view: fills what the photo did not see and corrects what the render got wrong.

A U-Net (Ronneberger et al. 2015) of residual blocks that says what is to be added to the filled view, as the generator
of Rotate-and-Render (Zhou et al., Unsupervised Photorealistic Face Rotation from Single-View Images, 2020) does for a
whole picture. Plain convolutions, most of them at low resolution; without normalization, so that a picture's colours
do not depend on the pictures beside it. 3.7 million parameters, 1.5 billion multiply-adds a picture.
"""

from itertools import pairwise
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from facerecon_ray.networks.weight_file import load_network

INPUT_CHANNELS = 5
WIDTHS = (32, 48, 96, 192, 256)
"""Channels at 128, 64, 32, 16 and 8 pixels."""

SEEN_SHARE = 0.25
"""How much of a correction reaches a pixel that the photo saw fully, next to 1 where it saw nothing."""

REGION_STEP = 16
"""Pixels by which the corrected region reaches beyond the head, for hair and clothes; its edge is as soft."""

OUTPUT_SCALE = 0.2
"""Of the last layer, whose weights all push the same way in the first steps of an optimizer."""

SLOPE, SMALL = 0.2, 10.0
"""Of leaky rectifiers; and what a residual's last convolution begins with in its place, for a tenth of the size."""


class ViewGenerator(nn.Module):
    """The network.

    Input   (B, 5, 256, 256) float in [0, 1]: red, green, blue of the filled view, how well the photo saw each pixel,
            the head's mask
    Output  (B, 3, 256, 256) float32 in [0, 1], RGB; the filled view where the correction is 0, as it is everywhere
            before training, and always far from the head
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(4 * INPUT_CHANNELS, WIDTHS[0], 3, padding=1), nn.LeakyReLU(SLOPE))
        pairs = list(pairwise(WIDTHS))
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(fine, coarse, 3, 2, padding=1), nn.LeakyReLU(SLOPE), _Residual(coarse))
            for fine, coarse in pairs
        )
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.up = nn.ModuleList(
            [*(_Merge(width) for width in WIDTHS[:2]), *(_Residual(width) for width in WIDTHS[2:-1])]
        )
        self.output = nn.Conv2d(WIDTHS[0], 4 * 3, 3, padding=1)
        self.apply(_begin)
        nn.init.zeros_(self.output.weight)

    def forward(self, views: Tensor) -> Tensor:
        """(B, 5, 256, 256) to (B, 3, 256, 256)."""
        x = self.stem(functional.pixel_unshuffle(views - 0.5, 2))
        skipped = []
        for level in self.down:
            skipped.append(x)
            x = level(x)
        for narrow, level, fine in zip(
            reversed(list(self.narrow)), reversed(list(self.up)), reversed(skipped), strict=True
        ):
            x = level(fine + functional.interpolate(narrow(x), scale_factor=2.0, mode="bilinear"))
        filled, seen, head = views.split((3, 1, 1), 1)
        reach = corrected_share(head, seen)
        repaired = filled + reach * OUTPUT_SCALE * functional.pixel_shuffle(self.output(x), 2).float()
        # Gradients pass the limits, so that a pixel beyond them finds its way back.
        return repaired + (repaired.clamp(0.0, 1.0) - repaired).detach()


class _Residual(nn.Module):
    """Two 3 x 3 convolutions, added to their input; the second begins small, so that signals keep their size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        changed: Tensor = self.second(functional.leaky_relu(self.first(x), SLOPE))
        return x + changed


class _Merge(nn.Sequential):
    """One 3 x 3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(SLOPE))


def _begin(module: nn.Module) -> None:
    """Weights with which signals keep their size from layer to layer (He et al., Delving into Rectifiers, 2015)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=SLOPE)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
    elif isinstance(module, _Residual):
        nn.init.kaiming_normal_(module.second.weight, a=SMALL)


def corrected_region(head: Tensor) -> Tensor:
    """(B, 1, H, W) how far corrections count: 1 on the head and a little beyond, falling softly to 0.

    Parameters
    ----------
    head : (B, 1, H, W) 0 or 1; H and W are multiples of 16
    """
    coarse = functional.max_pool2d(head.float(), REGION_STEP)
    wide = functional.max_pool2d(coarse, 3, 1, 1)
    return functional.interpolate(wide, scale_factor=float(REGION_STEP), mode="bilinear")


def corrected_share(head: Tensor, seen: Tensor) -> Tensor:
    """(B, 1, H, W) how much of a correction reaches each pixel; masks as the network gets them."""
    return corrected_region(head) * (1 - (1 - SEEN_SHARE) * seen)


def load_weights(path: Path) -> ViewGenerator:
    """Read the network from a weight file; see `load_network`."""
    return load_network(ViewGenerator(), path, "rotator")

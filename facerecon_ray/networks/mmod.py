"""dlib's CNN face detector (max-margin object detection, `mmod_human_face_detector.dat`) as a torch module.

King, "Max-Margin Object Detection", arXiv:1502.00046. A fully convolutional network looks for faces of 80 x 80 pixels
in one picture, the tile, that holds the photo in all sizes of a pyramid. Tile, box geometry and suppression follow
dlib, so faces and scores are dlib's own.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facerecon_ray.errors import AssetError
from facerecon_ray.networks.dlib_models import MEAN_RGB, DlibReader, on_raw_pixels, set_convolution

BATCH_NORM_EPS = 1e-4
WINDOW = 80
CELL_STRIDE, CELL_OFFSET = 8, 14
PYRAMID_STEP = 6 / 5
LEVEL_GAP, TILE_MARGIN, MIN_LEVEL_HEIGHT = 10, 11, 5
MIN_SIDE = 7
SUPPRESSION_OVERLAP = 0.3382761351109955


@dataclass(frozen=True)
class Tile:
    """Where the levels of a pyramid lie in the tile.

    levels          (L, 4) int top, left, height, width of every level, pixels
    height, width   size of the tile, pixels
    """

    levels: np.ndarray
    height: int
    width: int


@dataclass(frozen=True)
class Detections:
    """Faces of one photo, the highest score first.

    boxes    (K, 4) float32 x0, y0, x1, y1 in photo pixels; they may reach beyond the photo. A rolled face's window is
             the box turned about its middle
    scores   (K,) float32; not a probability: above 0 is a face, near 1 a clear one
    rolls    (K,) float32 degrees by which the faces are rolled, clockwise in the photo
    """

    boxes: np.ndarray
    scores: np.ndarray
    rolls: np.ndarray

    @classmethod
    def upright(cls, boxes: np.ndarray, scores: np.ndarray) -> "Detections":
        """Faces found by what finds only upright ones."""
        return cls(boxes, scores, np.zeros(len(boxes), np.float32))


class MmodDetector(nn.Module):
    """The detector: `forward` is its network, `detect` goes from photos to faces."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 5, 2), nn.ReLU(True),
            nn.Conv2d(16, 32, 5, 2), nn.ReLU(True),
            nn.Conv2d(32, 32, 5, 2), nn.ReLU(True),
            nn.Conv2d(32, 45, 5, 1, 2), nn.ReLU(True),
            nn.Conv2d(45, 45, 5, 1, 2), nn.ReLU(True),
            nn.Conv2d(45, 45, 5, 1, 2), nn.ReLU(True),
            nn.Conv2d(45, 1, 9, 1, 4),
        )  # fmt: skip

    @classmethod
    def from_dlib(cls, path: Path) -> "MmodDetector":
        """Read the weights from dlib's own file; batch normalisation and input normalisation are folded into them.

        Raises
        ------
        AssetError
            when the file is missing or is not this network
        """
        detector = cls()
        convolutions = [layer for layer in detector.layers if isinstance(layer, nn.Conv2d)]
        try:
            reader = DlibReader(path.read_bytes())
            for index, layer in enumerate(convolutions):
                read = _read_convolution(reader, normalised=layer is not convolutions[-1])
                set_convolution(layer, *(on_raw_pixels(*read) if index == 0 else read))
        except OSError as error:
            raise AssetError(f"face detector {path}: {error.strerror}") from None
        except (ValueError, IndexError):
            raise AssetError(f"{path}: this is not dlib's mmod_human_face_detector.dat") from None
        return detector.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, tiles: Tensor) -> Tensor:
        """Score every cell of 8 x 8 tile pixels.

        Parameters
        ----------
        tiles : (B, 3, H, W) float32 RGB, 0 to 255

        Returns
        -------
        (B, h, w) float32 scores
        """
        return self.layers(tiles)[:, 0]

    @torch.inference_mode()
    def detect(self, photos: np.ndarray, min_score: float = 0.0) -> list[Detections]:
        """Find faces of at least 80 pixels in photos of one size.

        Parameters
        ----------
        photos : (B, H, W, 3) uint8 RGB
        min_score : lowest score that is a face
        """
        if min(photos.shape[1:3]) < MIN_SIDE:
            return [Detections.upright(np.zeros((0, 4), np.float32), np.zeros(0, np.float32)) for _ in photos]
        tile = lay_out_pyramid(*photos.shape[1:3])
        device = next(self.parameters()).device
        pixels = torch.from_numpy(photos).to(device).permute(0, 3, 1, 2).float()
        scores = self(draw_tile(pixels, tile)).cpu().numpy()
        return [_faces(photo_scores, tile, min_score) for photo_scores in scores]


def lay_out_pyramid(height: int, width: int) -> Tile:
    """Place a photo and its smaller copies as dlib does: down the left side, then up again along the right side."""
    sizes = [(height, width)]
    while (shrunk := (sizes[-1][0] * 5 // 6, sizes[-1][1] * 5 // 6))[0] >= MIN_LEVEL_HEIGHT and shrunk[1] > 0:
        sizes.append(shrunk)
    column_height = sum(h + LEVEL_GAP for h, _ in sizes) - 2 * LEVEL_GAP
    levels: list[tuple[int, int, int, int]] = []
    bottom, previous_width = 0, 0
    for h, w in sizes:
        fits_beside = w <= width - previous_width - LEVEL_GAP
        if fits_beside and (bottom - height) * 2 >= column_height - height:
            break
        levels.append((bottom, 0, h, w))
        bottom, previous_width = bottom + h + LEVEL_GAP, w
    tile_height = bottom - LEVEL_GAP
    bottom = tile_height
    for h, w in sizes[len(levels) :]:
        if bottom - h < height:
            break
        levels.append((bottom - h, width - w, h, w))
        bottom -= h + LEVEL_GAP
    placed = np.array(levels) + (TILE_MARGIN, TILE_MARGIN, 0, 0)
    return Tile(placed, tile_height + 2 * TILE_MARGIN, width + 2 * TILE_MARGIN)


def draw_tile(photos: Tensor, tile: Tile) -> Tensor:
    """Draw photos and their smaller copies into tiles; the gaps have the mean colour, which is 0 to the network.

    Parameters
    ----------
    photos : (B, 3, H, W) float32 RGB, 0 to 255

    Returns
    -------
    (B, 3, tile.height, tile.width) float32
    """
    mean = photos.new_tensor(MEAN_RGB)[:, None, None]
    drawn = mean.expand(len(photos), 3, tile.height, tile.width).contiguous(memory_format=torch.channels_last)
    level = photos
    for top, left, height, width in tile.levels.tolist():
        if level.shape[-2:] != (height, width):
            level = F.interpolate(level, (height, width), mode="bilinear", align_corners=True)
        drawn[:, :, top : top + height, left : left + width] = level
    return drawn


def _faces(scores: np.ndarray, tile: Tile, min_score: float) -> Detections:
    rows, columns = np.nonzero(scores > min_score)
    found = scores[rows, columns]
    order = np.argsort(-found, kind="stable")
    boxes, found = _boxes(rows[order], columns[order], tile), found[order]
    kept = suppress(boxes, SUPPRESSION_OVERLAP)
    return Detections.upright(boxes[kept].astype(np.float32), found[kept].astype(np.float32))


def _boxes(rows: np.ndarray, columns: np.ndarray, tile: Tile) -> np.ndarray:
    """(K, 4) photo pixels: windows around tile cells, each mapped back through the level nearest to its centre."""
    y, x = CELL_STRIDE * rows + CELL_OFFSET, CELL_STRIDE * columns + CELL_OFFSET
    top, left, height, width = tile.levels.T[:, :, None]
    beyond_x = np.maximum(0, np.maximum(left - x, x - left - width + 1))
    beyond_y = np.maximum(0, np.maximum(top - y, y - top - height + 1))
    level = np.argmin(beyond_x**2 + beyond_y**2, axis=0)
    growth = PYRAMID_STEP**level
    centre = np.stack([x - tile.levels[level, 1], y - tile.levels[level, 0]], -1) * growth[:, None]
    centre += 1.5 * (growth[:, None] - 1) + 0.5
    half = growth[:, None] * WINDOW / 2
    return np.concatenate([centre - half, centre + half], -1)


def suppress(boxes: np.ndarray, overlap: float) -> list[int]:
    """Keep boxes in their order, unless one that was kept overlaps them by more (intersection over union).

    Parameters
    ----------
    boxes : (K, 4) x0, y0, x1, y1, the surest first
    overlap : 0 to 1

    Returns
    -------
    Indices of those that are kept
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    waiting = np.arange(len(boxes))
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        corner0 = np.maximum(boxes[best, :2], boxes[waiting, :2])
        corner1 = np.minimum(boxes[best, 2:], boxes[waiting, 2:])
        shared = (corner1 - corner0).clip(0).prod(-1)
        waiting = waiting[shared <= overlap * (areas[best] + areas[waiting] - shared)]
    return kept


def _read_convolution(reader: DlibReader, normalised: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weights (O, I, kh, kw) and biases (O,) with the batch normalisation that follows, float64."""
    weight, bias = reader.convolution()
    if not normalised:
        return weight, bias
    reader.seek_layer(b"bn_con2")
    gamma, beta = np.split(reader.tensor(), 2)
    reader.integers(10)
    _batch_mean, _batch_deviation, mean, variance = (reader.tensor() for _ in range(4))
    gain = gamma / np.sqrt(variance + BATCH_NORM_EPS)
    return weight * gain[:, None, None, None], (bias - mean) * gain + beta

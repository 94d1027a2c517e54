"""The 68 facial landmarks, by dlib's predictor (Kazemi and Sullivan, CVPR 2014)."""

from pathlib import Path

import cv2
import dlib
import numpy as np

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.crop_transform import apply_transform, cut_crop, invert_transform, square_transform, turn
from facerecon_ray.geometry.face_model import LANDMARKS
from facerecon_ray.networks.dlib_models import installed_model

DEFAULT_MODEL = "shape_predictor_68_face_landmarks.dat"

# The predictor answers in whole pixels and reads single pixels: this face size makes both harmless.
FACE_PIXELS = 300
PATCH_MARGIN = 0.5

# Box shifts (in widths) and growth over which the median is taken.
BOX_VARIANTS = np.array([(0.0, 0.0, 1.0), (-0.04, 0.04, 1.06), (0.04, -0.04, 0.94)])


class LandmarkPredictor:
    """Landmarks of faces whose boxes are known.

    One prediction depends on where the box happens to lie, so the median over three boxes is taken. A second round
    that starts from the box of the first one's landmarks would scatter less on frontal faces, but pulls turned faces
    back to frontal: on rendered heads at 27 to 40 degrees of yaw it trebles the error.
    """

    def __init__(self, model: Path | None = None) -> None:
        """Load a predictor.

        Raises
        ------
        AssetError
            when the file is missing, is no dlib shape predictor, or has not 68 points
        """
        path = model or installed_model(DEFAULT_MODEL)
        if not path.is_file():
            raise AssetError(f"landmark model {path}: there is no such file")
        try:
            self._model = dlib.shape_predictor(str(path))
        except RuntimeError:
            raise AssetError(f"landmark model {path}: this is not a dlib shape predictor") from None
        points = self._model(np.zeros((8, 8, 3), np.uint8), dlib.rectangle(0, 0, 7, 7)).num_parts
        if points != LANDMARKS:
            raise AssetError(f"landmark model {path}: it has {points} points, {LANDMARKS} are needed")

    def predict_all(self, photo: np.ndarray, boxes: np.ndarray, rolls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, 68, 2) landmarks of the faces in boxes (B, 4) with rolls (B,), and these rolls; see `predict`."""
        return np.stack([self.predict(photo, *face) for face in zip(boxes, rolls.tolist(), strict=True)]), rolls

    def predict(self, photo: np.ndarray, box: np.ndarray, roll: float = 0.0) -> np.ndarray:
        """Find the landmarks of one face.

        Parameters
        ----------
        photo : (H, W, 3) uint8 RGB
        box : (4,) x0, y0, x1, y1 in photo pixels, of the kind that dlib's HOG detector gives
        roll : of the face, degrees; the box is turned by it about its middle

        Returns
        -------
        (68, 2) float64 photo pixels
        """
        if roll:
            return self._predict_rolled(photo, box, roll)
        patch, origin, factor = _cut_patch(photo, box)
        return self._median(patch, (box.reshape(2, 2) - origin) * factor) / factor + origin

    def _predict_rolled(self, photo: np.ndarray, box: np.ndarray, roll: float) -> np.ndarray:
        margin = round(PATCH_MARGIN * FACE_PIXELS)
        side = FACE_PIXELS + 2 * margin
        upright = square_transform(adjust_boxes(box, (0.0, 0.0, side / FACE_PIXELS)), roll, side)
        corners = np.array([[margin] * 2, [margin + FACE_PIXELS] * 2])
        return apply_transform(invert_transform(upright), self._median(cut_crop(photo, upright, side), corners))

    def _median(self, patch: np.ndarray, corners: np.ndarray) -> np.ndarray:
        """(68, 2) patch pixels from a box given by its corners (2, 2) in patch pixels."""
        centre, size = corners.mean(0), (corners[1] - corners[0]).mean()
        shapes = []
        for *shift, growth in BOX_VARIANTS:
            low = np.round(centre + np.array(shift) * size - growth * size / 2).astype(int)
            high = np.round(centre + np.array(shift) * size + growth * size / 2).astype(int) - 1
            shape = self._model(patch, dlib.rectangle(*low.tolist(), *high.tolist()))
            shapes.append([(point.x, point.y) for point in shape.parts()])
        return np.median(shapes, axis=0) + 0.5


def adjust_boxes(
    boxes: np.ndarray, adjustment: tuple[float, float, float], rolls: np.ndarray | float = 0.0
) -> np.ndarray:
    """Shift boxes (..., 4) by parts of their width and height, and let them grow.

    Boxes turned about their middles by rolls (...), degrees, are shifted along their own sides.
    """
    right, down, growth = adjustment
    low, high = boxes[..., :2], boxes[..., 2:]
    shift = (turn(rolls) @ ((high - low) * (right, down))[..., None])[..., 0]
    centre, half = (low + high) / 2 + shift, (high - low) * growth / 2
    return np.concatenate([centre - half, centre + half], -1)


def _cut_patch(photo: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The photo around a box, scaled to a face of 300 pixels; its origin (2,) and scale (2,)."""
    low, high = box[:2], box[2:]
    margin = PATCH_MARGIN * (high - low)
    limit = np.array([photo.shape[1], photo.shape[0]])
    x0, y0 = np.clip(np.floor(low - margin), 0, limit - 1).astype(int)
    x1, y1 = np.maximum(np.clip(np.ceil(high + margin), 0, limit).astype(int), (x0 + 1, y0 + 1))
    part = photo[y0:y1, x0:x1]
    scale = FACE_PIXELS / (high - low).mean()
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    patch = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return patch, np.array([x0, y0]), np.array([size[0] / part.shape[1], size[1] / part.shape[0]])

"""Pairs of photos as the read stage gives them."""

import io

import numpy as np
from PIL import Image

from facerecon_ray.stages.stage import OK, Batch


def encode(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def pairs(*photos: tuple[np.ndarray, np.ndarray]) -> Batch:
    fronts, sides = zip(*photos, strict=True)
    return {
        "photo_uri": np.array([f"front-{row}" for row in range(len(photos))], object),
        "side_photo_uri": np.array([f"side-{row}" for row in range(len(photos))], object),
        "photo_bytes": np.array([encode(front) for front in fronts], object),
        "side_photo_bytes": np.array([encode(side) for side in sides], object),
        "status": np.full(len(photos), OK, object),
        "error": np.full(len(photos), "", object),
    }

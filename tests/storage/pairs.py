"""Rows of training data with random contents."""

import numpy as np


def pair_batch(subject: int = 0, split: str = "train", status: tuple[str, ...] = ("ok", "failed", "ok")) -> dict:
    """Columns of one subject: a row for each status; a failed row has a truth, but no rotated view."""
    rng, rows = np.random.default_rng([5, subject]), len(status)
    failed = np.array([one == "failed" for one in status])
    shapes = {"crop_transform": (2, 3), "pose": (3,), "camera": (6,), "shape": (80,), "expression": (51,)}
    shapes |= {"landmarks_3d": (68, 3), "given_landmarks": (68, 2), "fitted_pose": (3,), "true_rotated_pose": (3,)}
    shapes |= {"fitted_camera": (6,), "fitted_shape": (80,), "fitted_expression": (51,)}
    shapes |= dict.fromkeys(("fit_error", "rotated_yaw", "visible_share"), ())
    columns = {name: rng.uniform(0.1, 9.0, (rows, *shape)).astype(np.float32) for name, shape in shapes.items()}
    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    picture = np.stack([ramp[None].repeat(256, 0), ramp[:, None].repeat(256, 1), np.full((256, 256), 90)], -1)
    pictures = np.repeat(picture[None].astype(np.uint8), rows, 0)
    return columns | {
        "subject": np.full(rows, subject),
        "subject_seed": np.full(rows, 1000 + subject),
        "view": np.arange(rows),
        "source": np.full(rows, "synthetic", object),
        "origin": np.full(rows, "", object),
        "split": np.full(rows, split, object),
        "attributes": np.full(rows, {"age": 31.5, "gender": 0.25, "hair": "short"}, object),
        "status": np.array(status, object),
        "error": np.where(failed, "the fit failed", "").astype(object),
        "crop": pictures,
        "rotated": np.where(failed[:, None, None, None], 0, pictures),
        "rotated_seen": np.where(failed[:, None, None], 0, pictures[..., 0]),
        "rotated_head": np.where(failed[:, None, None], 0, 255 * (pictures[..., 1] > 99)).astype(np.uint8),
        "true_rotated": pictures[:, ::-1].copy(),
        "position_map": rng.random((rows, 256, 256, 3)).astype(np.float16),
    }

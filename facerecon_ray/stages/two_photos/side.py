"""What a row of two photos says of the side photo: the columns that a photo has, with `side_` before their names."""

from typing import TypeVar

import numpy as np

from facerecon_ray.stages.stage import FAILED, OK, UNREADABLE, Batch

SIDE = "side_"

Values = TypeVar("Values")


def side_of(batch: Batch) -> Batch:
    """Columns of the side photos under the names that those of photos have."""
    return {name.removeprefix(SIDE): values for name, values in batch.items() if name.startswith(SIDE)}


def as_side(columns: dict[str, Values]) -> dict[str, Values]:
    """What photos have under the names that it has of side photos."""
    return {SIDE + name: values for name, values in columns.items()}


def with_side_errors(
    status: np.ndarray, error: np.ndarray, side_status: np.ndarray, side_error: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Status and error of rows, (B,) each: the front photo's, and where that is ok, the side photo's.

    A side photo without a face makes its row fail.
    """
    bad = (status == OK) & (side_status != OK)
    status, error = status.copy(), error.copy()
    status[bad] = np.where(side_status[bad] == UNREADABLE, UNREADABLE, FAILED)
    error[bad] = [f"side photo: {reason}" for reason in side_error[bad]]
    return status, error

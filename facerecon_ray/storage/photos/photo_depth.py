"""Values of more than 8 bits, of which files do not say what is white, as 8-bit ones."""

import numpy as np

WHITES = (255, 1023, 4095, 16383, 65535)
"""Whole numbers that are white in files of 8, 10, 12, 14 and 16 bits, whatever the width of their values."""

OUTLIERS = 0.05
"""Share of a floating-point picture's values that may be below black or above white, and is clipped."""

MOST_FLOAT_WHITE = 16.0
"""Floating-point values up to here are multiples of white; larger ones are whole numbers."""


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """(...) uint8 of whole or floating-point values.

    The smallest of `WHITES` that holds all values is white; of floating-point ones 1, where nearly all are below.
    Values that are negative, or beyond the largest white, are stretched between their extremes.

    Parameters
    ----------
    values : (...) of any number type; what is not finite becomes black
    """
    whole = values.dtype.kind in "iu"
    numbers = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if not whole and (numbers < 0).mean() < OUTLIERS:
        numbers = numbers.clip(min=0)
    low, high = float(numbers.min()), float(numbers.max())
    if low < 0:
        black, white = low, high
    elif not whole and (numbers > 1).mean() < OUTLIERS:
        black, white = 0.0, 1.0
    elif not whole and high <= MOST_FLOAT_WHITE:
        black, white = 0.0, high
    else:
        black, white = 0.0, float(next((white for white in WHITES if high <= white), 0))
        if not white:
            black, white = low, high
    return np.round((numbers - black) * (255.0 / ((white - black) or 1.0))).clip(0, 255).astype(np.uint8)

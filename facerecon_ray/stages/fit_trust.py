"""How far a fit can be trusted: the landmark error that must be expected of it, its quality, and when it is refused.

The expected error is a product of powers of a few signs of doubt: its logarithm is linear in theirs. Small, blurred,
covered and cut off faces need no terms of their own: the network's heat maps spread there, and two looks at the face
disagree. The weights are from synthetic views, spoilt as `benchmarks/degraded_views.py` does. `benchmarks/quality.py`
fits them and measures what a quality is worth, `benchmarks/refusals.py` who is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from facerecon_ray.geometry.crop_transform import apply_transform
from facerecon_ray.geometry.fitting import Fit, box_size
from facerecon_ray.networks.fitter import FittedFaces
from facerecon_ray.stages.stage import Batch

Signs = Mapping[str, np.ndarray]

CONSTANT = "constant"
BY_NETWORK = {"noise": 0.272, "spread": 0.589, "told": 0.901, "moved": 0.115, CONSTANT: 1.795}
BY_LANDMARKS = {"fit_error": 1.0, CONSTANT: 0.0}
"""Weights of the signs' logarithms in that of the expected error, for fits by the network and by landmarks alone: of
those nothing is known but how far they stay from the landmarks."""

WORTHLESS = 0.10
"""Expected error, as a share of the landmarks' box size, from which on a face's quality is 0."""

MOST_ERROR = 0.08
"""Expected error up to which a fit is believed to be a face's: so none of 2,750 fits to what is no face passes, and 1
of 111 faces in photos is refused (benchmarks/refusals.py)."""

LEAST_SIGN = 1e-3
"""A sign of less tells no more."""

MOST_YAW, MOST_ROLL = 110.0, 60.0
"""How far a face may be turned and, in its crop, rolled, degrees."""


@dataclass(frozen=True)
class Trust:
    """How far fits of B faces can be trusted.

    quality   (B,) float32, 0 to 1: 1 - expected error / 10 %, at least 0
    reasons   (B,) text, why a fit is refused; empty where it is not
    """

    quality: np.ndarray
    reasons: np.ndarray


def trust(fit: Fit, batch: Batch, found: FittedFaces | None = None) -> Trust:
    """Judge fits; the arguments are those of `signs_of`."""
    signs = signs_of(fit, batch, found)
    expected = expected_error(signs, BY_LANDMARKS if found is None else BY_NETWORK)
    return Trust(quality(expected), refusals(signs, expected))


def signs_of(fit: Fit, batch: Batch, found: FittedFaces | None = None) -> dict[str, np.ndarray]:
    """What tells of the errors of fits.

    Parameters
    ----------
    fit : of B faces, crop pixels
    batch : crop_transform, landmarks (photo pixels)
    found : what the network said of the crops, where it was asked

    Returns
    -------
    (B,) float64 each
    noise       how much noisier the landmarks are than usual, as far as no face explains them
    fit_error   mean distance of the fitted landmarks from the found ones, shares of the box size
    yaw, roll   of the face in its crop, degrees
    spread      of the heat maps, shares of the landmarks' box size; with `found` alone
    told        mean deviation of the points that the network says they have, shares of the landmarks' box size; with
                `found` alone
    moved       mean distance of the landmarks in the crop from those by which the crop was cut, shares of their box
                size; with `found` alone
    """
    size = box_size(fit.landmarks)
    signs = {
        "noise": fit.noise,
        "fit_error": fit.error,
        "yaw": fit.camera.angles[:, 0],
        "roll": fit.camera.angles[:, 2],
    }
    if found is not None:
        before = torch.from_numpy(apply_transform(batch["crop_transform"], batch["landmarks"])).to(size)
        signs["spread"] = found.spread / size
        signs["told"] = found.deviation.mean(-1) / size
        signs["moved"] = (found.landmarks - before).norm(dim=-1).mean(-1) / size
    return {name: sign.double().cpu().numpy() for name, sign in signs.items()}


def expected_error(signs: Signs, weights: Mapping[str, float]) -> np.ndarray:
    """(B,) mean distance of the fitted landmarks from the true ones that must be expected, share of their box size."""
    total = sum(
        weight * np.log(signs[name].clip(min=LEAST_SIGN)) for name, weight in weights.items() if name != CONSTANT
    )
    return np.exp(total + weights[CONSTANT])


def quality(expected: np.ndarray) -> np.ndarray:
    """(B,) float32 quality of fits with expected errors (B,): 1 - error / 10 %, at least 0."""
    return (1 - expected / WORTHLESS).clip(0, 1).astype(np.float32)


def refusals(signs: Signs, expected: np.ndarray) -> np.ndarray:
    """(B,) one sentence for each fit that is no face's, empty for the others."""
    reasons = np.full(len(expected), "", object)
    for row, error in enumerate(expected):
        if not error <= MOST_ERROR:
            reasons[row] = (
                f"no face can be fitted here: its landmarks would be off by {min(error, 1.0):.0%} of its size"
            )
        elif abs(signs["yaw"][row]) > MOST_YAW:
            reasons[row] = (
                f"no face can be fitted here: it would be turned away, with a yaw of {signs['yaw'][row]:.0f}°"
            )
        elif abs(signs["roll"][row]) > MOST_ROLL:
            reasons[row] = (
                f"no face can be fitted here: it would lie on its side, {signs['roll'][row]:.0f}° in its crop"
            )
    return reasons

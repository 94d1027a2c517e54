"""Files that come with the package."""

from pathlib import Path

_ASSETS = Path(__file__).parents[1] / "assets"

FACE_MODEL = _ASSETS / "face_model.npz"
HEADS = _ASSETS / "anny_heads.safetensors.zst"
STAGE_COSTS = _ASSETS / "stage_costs.yaml"
PHOTOS = _ASSETS / "photos"

DETECTOR_WEIGHTS = _ASSETS / "weights" / "detector.safetensors"
FITTER_WEIGHTS = _ASSETS / "weights" / "fitter.safetensors"
TWO_VIEW_WEIGHTS = _ASSETS / "weights" / "two_view.safetensors"
PRNET_WEIGHTS = _ASSETS / "weights" / "prnet.safetensors"
SHIPPED_WEIGHTS = {"two-view": TWO_VIEW_WEIGHTS, "prnet": PRNET_WEIGHTS}
"""By the method of the reconstruct stage."""
ROTATOR_WEIGHTS = _ASSETS / "weights" / "rotator.safetensors"

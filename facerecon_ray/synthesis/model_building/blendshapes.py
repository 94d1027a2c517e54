"""Expressions of a scans model by the names of ARKit's blendshapes, which other people's rigs know."""

import numpy as np

from facerecon_ray.errors import AssetError
from facerecon_ray.synthesis.model_building.scans_model import ScansModel

SIDED = frozenset(
    {"browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp"}
    | {"eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile"}
    | {"mouthStretch", "mouthUpperUp", "noseSneer"}
)
UNSIDED = frozenset(
    {"browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel"}
    | {"mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower"}
    | {"mouthShrugUpper", "tongueOut"}
)
SIDES = {"Left": "_L", "Right": "_R"}

ARKIT_BLENDSHAPES = tuple(sorted([*UNSIDED, *(name + side for name in SIDED for side in SIDES)]))
"""The 52 names of Apple's ARFaceAnchor.BlendShapeLocation; left and right are the subject's."""

NOT_SKIN = "tongueOut"
"""Moves nothing but the tongue, which the face model's mesh does not have."""


def arkit_offsets(scans: ScansModel) -> tuple[np.ndarray, list[str]]:
    """Offsets (51, V, 3) at full strength of ARKit's blendshapes but the tongue's, and their names.

    ICT-FaceKit marks sides by _L and _R, and splits some that ARKit has in one: those are added up.

    Raises
    ------
    AssetError
        when the scans model lacks one
    """
    names = [name for name in ARKIT_BLENDSHAPES if name != NOT_SKIN]
    return np.stack([_offset(scans, name) for name in names]), names


def _offset(scans: ScansModel, name: str) -> np.ndarray:
    own = [name]
    for side, mark in SIDES.items():
        if name.endswith(side) and name.removesuffix(side) in SIDED:
            own = [name.removesuffix(side) + mark]
    if own[0] not in scans.expression_names:
        own = [name + mark for mark in SIDES.values()]
    missing = [part for part in own if part not in scans.expression_names]
    if missing:
        raise AssetError(f"the model of scans has no expression {missing[0]!r}, which the blendshape {name} needs")
    return np.sum([scans.expression[scans.expression_names.index(part)] for part in own], axis=0)

"""Expressions of faces as combinations of facial actions, after the Facial Action Coding System.

Ekman and Friesen, Facial Action Coding System, 1978; the combinations for emotions follow its investigator's guide.
Strengths are drawn anew every time; left and right differ a little, and every face blinks, looks about and twitches.
"""

from dataclasses import dataclass

import numpy as np

SIDES = ("Left", "Right")


@dataclass(frozen=True)
class Expression:
    """Ranges of the strengths of actions; a name without a side that exists only with sides stands for both."""

    share: float
    actions: dict[str, tuple[float, float]]


EXPRESSIONS: dict[str, Expression] = {
    "smile": Expression(
        4.0, {"mouthSmile": (0.3, 0.9), "cheekSquint": (0.1, 0.6), "mouthDimple": (0.0, 0.4), "eyeSquint": (0.0, 0.4)}
    ),
    "grin": Expression(
        2.5,
        {
            "mouthSmile": (0.5, 1.0),
            "mouthUpperUp": (0.2, 0.6),
            "mouthLowerDown": (0.1, 0.5),
            "cheekSquint": (0.2, 0.7),
            "jawOpen": (0.0, 0.15),
        },
    ),
    "laugh": Expression(
        1.5,
        {
            "mouthSmile": (0.5, 1.0),
            "jawOpen": (0.2, 0.6),
            "mouthUpperUp": (0.2, 0.6),
            "cheekSquint": (0.3, 0.8),
            "eyeSquint": (0.2, 0.7),
        },
    ),
    "surprise": Expression(
        1.2, {"browInnerUp": (0.3, 1.0), "browOuterUp": (0.3, 1.0), "eyeWide": (0.2, 0.9), "jawOpen": (0.1, 0.6)}
    ),
    "frown": Expression(
        1.2, {"browDown": (0.3, 1.0), "mouthFrown": (0.2, 0.8), "mouthPress": (0.0, 0.4), "eyeSquint": (0.0, 0.4)}
    ),
    "anger": Expression(
        0.8, {"browDown": (0.5, 1.0), "noseSneer": (0.2, 0.7), "mouthStretch": (0.0, 0.5), "jawOpen": (0.0, 0.35)}
    ),
    "disgust": Expression(
        0.6,
        {
            "noseSneer": (0.4, 1.0),
            "mouthUpperUp": (0.2, 0.7),
            "browDown": (0.1, 0.5),
            "mouthShrugLower": (0.1, 0.5),
        },
    ),
    "sadness": Expression(
        0.8,
        {
            "browInnerUp": (0.3, 0.9),
            "mouthFrown": (0.3, 0.9),
            "mouthShrugLower": (0.1, 0.5),
            "eyeBlink": (0.0, 0.3),
        },
    ),
    "fear": Expression(
        0.5, {"browInnerUp": (0.4, 0.9), "eyeWide": (0.3, 1.0), "mouthStretch": (0.3, 0.8), "jawOpen": (0.1, 0.4)}
    ),
    "closed eyes": Expression(0.6, {"eyeBlink": (0.9, 1.0), "mouthSmile": (0.0, 0.4)}),
    "kiss": Expression(0.7, {"mouthPucker": (0.5, 1.0), "mouthFunnel": (0.0, 0.3)}),
    "talk": Expression(
        2.5,
        {
            "jawOpen": (0.05, 0.4),
            "mouthFunnel": (0.0, 0.5),
            "mouthUpperUp": (0.0, 0.4),
            "mouthLowerDown": (0.0, 0.5),
            "mouthStretch": (0.0, 0.3),
            "browInnerUp": (0.0, 0.3),
        },
    ),
    "puff": Expression(0.4, {"cheekPuff": (0.4, 1.0), "mouthPucker": (0.0, 0.3)}),
    "pressed lips": Expression(
        0.7,
        {
            "mouthPress": (0.3, 1.0),
            "mouthRollLower": (0.1, 0.5),
            "mouthRollUpper": (0.1, 0.5),
        },
    ),
    "shout": Expression(0.5, {"jawOpen": (0.5, 0.95), "mouthStretch": (0.0, 0.5), "browDown": (0.0, 0.7)}),
}

ONE_SIDED: dict[str, tuple[str, tuple[float, float]]] = {
    "smirk": ("mouthSmile", (0.3, 0.9)),
    "wink": ("eyeBlink", (0.8, 1.0)),
    "raised brow": ("browOuterUp", (0.3, 0.9)),
    "mouth aside": ("mouth", (0.2, 0.6)),
    "jaw aside": ("jaw", (0.2, 0.6)),
}
ONE_SIDED_SHARE = 0.07
"""Share of the expressions that are one of those, alone."""

UNSIDED = frozenset(
    {"browInnerUp", "cheekPuff", "jawForward", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRollLower"}
    | {"mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "tongueOut"}
)
"""anny's actions that have no side."""


RESTING_LIDS = 0.1
"""How far eyes are closed at rest, as a share: the upper lid touches the iris."""


def draw_expression(neutral_share: float, rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    """Name and actions, strengths 0 to 1, of a random expression; the gaze is part of it.

    Parameters
    ----------
    neutral_share : share of neutral faces, 0 to 1; they still look about
    rng : decides
    """
    actions = _gaze(rng)
    if rng.random() < neutral_share:
        return "neutral", actions
    if rng.random() < ONE_SIDED_SHARE:
        name = str(rng.choice(sorted(ONE_SIDED)))
        action, strength = ONE_SIDED[name]
        actions[action + str(rng.choice(SIDES))] = float(rng.uniform(*strength))
        return name, actions
    names = sorted(EXPRESSIONS)
    shares = np.array([EXPRESSIONS[name].share for name in names])
    name = str(rng.choice(names, p=shares / shares.sum()))
    for action, strength in EXPRESSIONS[name].actions.items():
        _add(actions, action, float(rng.uniform(*strength)), rng)
    for action, most in (("jawForward", 0.2), ("browDown", 0.3), ("browInnerUp", 0.3), ("eyeSquint", 0.3)):
        if rng.random() < 0.15:
            _add(actions, action, float(rng.uniform(0.0, most)), rng)
    return name, {action: min(strength, 1.0) for action, strength in actions.items() if strength > 0.01}


def _add(actions: dict[str, float], action: str, strength: float, rng: np.random.Generator) -> None:
    for name in (action,) if action in UNSIDED else tuple(action + side for side in SIDES):
        uneven = 1.0 if action in UNSIDED else float(np.clip(rng.normal(1.0, 0.12), 0.6, 1.4))
        actions[name] = actions.get(name, 0.0) + strength * uneven


def _gaze(rng: np.random.Generator) -> dict[str, float]:
    """Both eyes look the same way, mostly ahead, with a little of the lids' resting position."""
    sideways, up = rng.normal(0.0, 0.22, 2)
    actions = {
        ("eyeLookOutLeft" if sideways > 0 else "eyeLookInLeft"): abs(sideways),
        ("eyeLookInRight" if sideways > 0 else "eyeLookOutRight"): abs(sideways),
    }
    for side in SIDES:
        actions[("eyeLookUp" if up > 0 else "eyeLookDown") + side] = abs(up)
    lids = rng.normal(RESTING_LIDS, 0.12)
    for side in SIDES:
        actions[("eyeBlink" if lids > 0 else "eyeWide") + side] = abs(lids)
    return {name: float(min(strength, 0.8)) for name, strength in actions.items()}

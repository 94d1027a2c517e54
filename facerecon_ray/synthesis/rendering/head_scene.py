"""What a renderer needs to know of a dressed head: its parts with their textures, and the surface that is the truth.

Head frame: the face model's frame, metres, x to the subject's left, y up, the face looks along +z; the origin lies at
the height of the nose's tip, about 7 cm behind it. Poses turn the head about this origin.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

SKIN = "skin"
"""Name of the part that cameras meter, beside what is far lighter on the head."""


@dataclass(frozen=True, eq=False)
class Part:
    """One textured mesh of a head.

    vertices      (N, 3) float32 metres, head frame
    triangles     (T, 3) int64, counter-clockwise seen from outside
    uv            (N, 2) float32 in [0, 1], u to the right and v down in the texture
    texture       (H, W, 3) or (H, W, 4) uint8 RGB or RGBA, display values; where alpha is below 128 nothing is drawn
    normals       (N, 3) float32 unit vectors, or None: smooth ones are worked out, across seams of the texture too
    openness      (N,) float32 share of the surrounding light that reaches a vertex beside what the head itself
                  shadows, or None for all of it; for the depth of hair and cloth
    gloss         0 is matt; skin is about 0.35, hair 0.45, a wet eye 0.95; the width of highlights follows from it
    translucency  0 for cloth and metal, 1 for skin: how far light creeps past the terminator, red furthest
    two_sided     both sides are drawn, and lit as what they are
    casts         it keeps light from the head; false for what is far thinner than the shadows that are drawn
    name          "skin", "eyes", "mouth", "hair", "glasses"...
    """

    vertices: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    texture: np.ndarray
    normals: np.ndarray | None = None
    openness: np.ndarray | None = None
    gloss: float = 0.0
    translucency: float = 0.0
    two_sided: bool = False
    casts: bool = True
    name: str = ""

    def __post_init__(self) -> None:
        count = len(self.vertices)
        per_vertex = {"uv": self.uv, "normals": self.normals, "openness": self.openness}
        wrong = [name for name, values in per_vertex.items() if values is not None and len(values) != count]
        if wrong:
            raise ValueError(f"part {self.name!r}: {', '.join(wrong)} must have one row for each of {count} vertices")
        if self.texture.dtype != np.uint8 or self.texture.ndim != 3 or self.texture.shape[2] not in (3, 4):
            raise ValueError(f"part {self.name!r}: the texture must be uint8 RGB or RGBA, (H, W, 3) or (H, W, 4)")


@dataclass(frozen=True, eq=False)
class HeadScene:
    """A dressed head.

    parts       what is drawn: skin, eyes, inside of the mouth, hair, glasses, clothes...
    surface     (M, 3) float32 metres, head frame: the face model's vertices on the same head
    attributes  what is known of the subject, for the dataset's rows
    seed        that made the subject
    """

    parts: tuple[Part, ...]
    surface: np.ndarray
    attributes: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

"""One synthetic person, before anything is painted."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from facerecon_ray.synthesis.appearance.looks import Looks


@dataclass(frozen=True, eq=False)
class Subject:
    """One person.

    seed        makes the same person again
    gender      0 male to 1 female
    age         years
    ancestry    african, asian, caucasian: shares that add up to 1
    looks       skin, hair, beard, glasses, clothes
    shape       (S,) shape coefficients of the face model, standard deviations
    size        of the head, 1 for the face model's own
    expression  name of the expression
    actions     strength of each active facial action, 0 to 1
    vertices    (V, 3) float32 the head's vertices with the expression, metres, head frame
    neutral     (V, 3) float32 the same without the expression
    """

    seed: int
    gender: float
    age: float
    ancestry: tuple[float, float, float]
    looks: Looks
    shape: np.ndarray
    size: float
    expression: str
    actions: dict[str, float]
    vertices: np.ndarray
    neutral: np.ndarray

    def rng(self, topic: str) -> np.random.Generator:
        """Random numbers of this person for one topic; another topic's use does not change them."""
        return np.random.default_rng([self.seed, zlib.crc32(topic.encode())])

    @property
    def receding(self) -> float:
        """How far the hair has receded from the forehead, 0 to 1."""
        rng = self.rng("receding")
        return float(rng.uniform(0.6, 1.0) if self.looks.hair == "receding" else rng.uniform(0.0, 0.2))

    @property
    def hairline_height(self) -> float:
        """Metres by which the hair begins higher than usual."""
        return float(self.rng("hairline").normal(0.0, 0.005))

    @property
    def attributes(self) -> dict[str, Any]:
        """What a row of the dataset says about the person."""
        african, asian, caucasian = self.ancestry
        return {
            "gender": round(self.gender, 3),
            "age": round(self.age, 1),
            "african": round(african, 3),
            "asian": round(asian, 3),
            "caucasian": round(caucasian, 3),
            "expression": self.expression,
            **self.looks.attributes,
        }

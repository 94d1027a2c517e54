"""How a person looks beside the shape of the head: colours and what is worn, drawn once for each subject."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from facerecon_ray.config.synthesis import SubjectSettings

MELANIN = (0.68, 0.30, 0.14)
"""Usual melanin of african, asian and caucasian skin; 0 is none and 1 the darkest skin. Lightness L* is then about 33,
55 and 68, and some units more with what the surface mirrors."""
MELANIN_SPREAD = 0.14
FREE_MELANIN_SHARE = 0.25
"""Share of people whose skin is drawn from the whole range, whatever the shape of the head."""

HAIR_COLOURS: dict[str, tuple[tuple[int, int, int], tuple[float, float, float]]] = {
    "black": ((22, 18, 17), (5.0, 5.0, 1.5)),
    "dark brown": ((46, 32, 24), (1.5, 1.5, 2.0)),
    "brown": ((84, 58, 38), (0.3, 0.2, 2.0)),
    "light brown": ((128, 94, 60), (0.1, 0.1, 1.6)),
    "blond": ((190, 156, 104), (0.05, 0.05, 1.4)),
    "red": ((128, 62, 34), (0.05, 0.05, 0.6)),
    "dyed": ((120, 60, 110), (0.04, 0.06, 0.10)),
}
"""Display colour, and how common it is by ancestry."""
GREY = (140, 137, 133)

EYE_COLOURS: dict[str, tuple[tuple[int, int, int], tuple[float, float, float]]] = {
    "dark brown": ((46, 30, 21), (5.0, 5.0, 1.2)),
    "brown": ((78, 53, 34), (1.5, 1.5, 1.6)),
    "hazel": ((112, 92, 50), (0.2, 0.2, 1.2)),
    "green": ((96, 116, 82), (0.05, 0.05, 0.8)),
    "blue": ((100, 134, 164), (0.02, 0.02, 1.8)),
    "grey": ((126, 138, 146), (0.02, 0.02, 0.6)),
}

MEN_HAIR = {
    "bald": 0.8, "shaved": 1.0, "short": 3.0, "side part": 2.0, "swept back": 1.2, "curly": 1.2, "afro": 0.5,
    "long": 0.5, "receding": 1.2, "fringe": 0.5,
}  # fmt: skip
WOMEN_HAIR = {
    "shaved": 0.1, "short": 0.7, "side part": 0.6, "swept back": 0.4, "curly": 1.2, "afro": 0.5, "long": 3.0,
    "bob": 1.8, "long fringe": 1.4, "tied back": 1.6, "bun": 1.2,
}  # fmt: skip
"""How common hair styles are among men and women."""

BEARDS = {"stubble": 2.4, "full": 0.9, "short": 1.3, "goatee": 0.9, "moustache": 0.6, "long": 0.2, "chin strap": 0.2}
GLASSES = {"rimmed": 4.0, "thick": 1.2, "rimless": 1.5, "round": 1.5, "sunglasses": 0.5}
MEN_HEADWEAR = {"cap": 1.8, "beanie": 1.4, "hat": 1.0, "turban": 0.8, "headband": 0.3}
WOMEN_HEADWEAR = {"cap": 0.8, "beanie": 1.2, "headscarf": 2.2, "hat": 1.0, "turban": 0.3, "headband": 0.8}
CLOTHES = {"t-shirt": 2.0, "collar": 2.0, "sweater": 1.5, "v-neck": 1.2, "hood": 1.0, "suit": 1.2, "turtleneck": 0.7}


@dataclass(frozen=True)
class Looks:
    """Colours are display red, green and blue, 0 to 255; names of things are None where there are none.

    melanin, blood, yellow   pigments of the skin: 0 none to 1 the darkest, about 1 usual, about 1 usual
    grey                     share of grey hair
    make_up                  0 none to 1 heavy
    """

    melanin: float
    blood: float
    yellow: float
    hair: str
    hair_colour: tuple[float, float, float]
    hair_colour_name: str
    grey: float
    eye_colour: tuple[float, float, float]
    eye_colour_name: str
    beard: str | None
    glasses: str | None
    headwear: str | None
    clothes: str
    make_up: float

    @property
    def attributes(self) -> dict[str, Any]:
        """What a row of the dataset says about the looks."""
        return {
            "melanin": round(self.melanin, 3),
            "hair": self.hair,
            "hair_colour": self.hair_colour_name,
            "grey_hair": round(self.grey, 2),
            "eye_colour": self.eye_colour_name,
            "beard": self.beard or "none",
            "glasses": self.glasses or "none",
            "headwear": self.headwear or "none",
            "clothes": self.clothes,
            "make_up": round(self.make_up, 2),
        }


def draw_looks(
    gender: float,
    age: float,
    ancestry: tuple[float, float, float],
    settings: SubjectSettings,
    rng: np.random.Generator,
) -> Looks:
    """Looks of a random person.

    Parameters
    ----------
    gender : 0 male to 1 female
    age : years
    ancestry : shares of african, asian, caucasian
    settings : shares of glasses, beards, headwear and make-up
    rng : decides
    """
    usual = float(np.dot(MELANIN, ancestry)) + rng.normal(0.0, MELANIN_SPREAD)
    free = rng.uniform(0.0, 1.0)
    melanin = free if rng.random() < FREE_MELANIN_SHARE else usual
    dark = float(np.clip((melanin - 0.4) / 0.25, 0.0, 1.0))
    kin = tuple((1.0 - dark) * share + dark * (name == 0) for name, share in enumerate(ancestry))
    woman = rng.random() < 1.0 / (1.0 + np.exp(-12.0 * (gender - 0.5)))
    hair_colour, hair_name = _colour(HAIR_COLOURS, kin, 0.18, rng)
    eye_colour, eye_name = _colour(EYE_COLOURS, kin, 0.15, rng)
    greying = float(rng.random() < (0.55 if woman else 0.95))
    grey = greying * float(np.clip((age - rng.normal(56.0, 9.0)) / 24.0, 0.0, 1.0))
    hair = WOMEN_HAIR if woman else MEN_HAIR
    bald = {"bald", "receding"} if age < 28.0 else set()
    old = {"bald", "receding"} if age > 48.0 else set()
    common = {name: (0.0 if name in bald else share * (2.5 if name in old else 1.0)) for name, share in hair.items()}
    common["afro"] = common["afro"] * (0.2 + 4.0 * ancestry[0])
    bearded = not woman and age > 18.0 and rng.random() < settings.beard_share
    return Looks(
        melanin=float(np.clip(melanin, 0.0, 1.0)),
        blood=float(np.clip(rng.normal(1.0, 0.22), 0.3, 1.9)),
        yellow=float(np.clip(rng.normal(0.8 + 0.5 * ancestry[1], 0.35), 0.0, 2.0)),
        hair=_pick(common, rng),
        hair_colour=_towards(hair_colour, GREY, grey),
        hair_colour_name=hair_name,
        grey=grey,
        eye_colour=eye_colour,
        eye_colour_name=eye_name,
        beard=_pick(BEARDS, rng) if bearded else None,
        glasses=_pick(GLASSES, rng) if rng.random() < settings.glasses_share else None,
        headwear=_pick(WOMEN_HEADWEAR if woman else MEN_HEADWEAR, rng)
        if rng.random() < settings.headwear_share
        else None,
        clothes=_pick(CLOTHES, rng),
        make_up=float(rng.beta(1.5, 1.8)) if woman and age > 15.0 and rng.random() < settings.make_up_share else 0.0,
    )


def _pick(common: dict[str, float], rng: np.random.Generator) -> str:
    shares = np.array(list(common.values()))
    return list(common)[int(rng.choice(len(shares), p=shares / shares.sum()))]


def _colour(
    colours: dict[str, tuple[tuple[int, int, int], tuple[float, float, float]]],
    ancestry: tuple[float, ...],
    spread: float,
    rng: np.random.Generator,
) -> tuple[tuple[float, float, float], str]:
    name = _pick({name: float(np.dot(shares, ancestry)) for name, (_, shares) in colours.items()}, rng)
    colour = np.array(colours[name][0], float)
    if name == "dyed":
        colour = rng.uniform(30.0, 220.0, 3)
    varied = (colour * np.exp(rng.normal(0.0, spread)) * np.exp(rng.normal(0.0, spread / 4, 3))).clip(6.0, 235.0)
    return (float(varied[0]), float(varied[1]), float(varied[2])), name


def _towards(
    colour: tuple[float, float, float], other: tuple[int, int, int], share: float
) -> tuple[float, float, float]:
    mixed = [a + (b - a) * share for a, b in zip(colour, other, strict=True)]
    return mixed[0], mixed[1], mixed[2]

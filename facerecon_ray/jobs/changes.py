"""What differs between the settings of an earlier run and those of the one that is to go on with it."""

from collections.abc import Iterator, Mapping
from typing import Any


def changes(now: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[str]:
    """Sentences "NAME was THIS, now is THAT", in the order of the dotted names; none where all are equal.

    Parameters
    ----------
    now, earlier : trees of settings, as JSON has them
    """
    flat_now, flat_earlier = dict(_flatten(now)), dict(_flatten(earlier))
    return [
        f"{name} was {flat_earlier.get(name)}, now is {flat_now.get(name)}"
        for name in sorted(flat_now.keys() | flat_earlier.keys())
        if flat_now.get(name) != flat_earlier.get(name)
    ]


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value

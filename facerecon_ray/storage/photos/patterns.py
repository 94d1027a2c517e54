"""Glob patterns over names with "/" between their parts, for folders and object stores alike, and braces."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

import bracex

from facerecon_ray.errors import InputError

MOST_ALTERNATIVES = 1_000_000
"""Names that a pattern with braces may stand for."""

_WILDCARDS = "*?["
_ANY_DEPTH = "**"


def has_wildcard(name: str) -> bool:
    """Whether a name is to be read as a pattern."""
    return any(character in name for character in _WILDCARDS)


def expand_braces(name: str) -> list[str]:
    """Names that one with {a,b} or {000..999} in it stands for, as in bash; none if there is nothing of that in it.

    Raises
    ------
    InputError
        when there are too many
    """
    if "{" not in name:
        return []
    try:
        names = bracex.expand(name, keep_escapes=True, limit=MOST_ALTERNATIVES)
    except bracex.ExpansionLimitException:
        raise InputError(f"{name}: it stands for more than {MOST_ALTERNATIVES:,} names") from None
    return names if len(names) > 1 else []


@dataclass(frozen=True)
class Pattern:
    """Parts of a pattern: *, ? and [...] match within a part of a name, ** matches any number of parts.

    A pattern that matches a folder stands for everything below it; one without parts matches everything.
    """

    parts: tuple[str, ...] = ()

    @classmethod
    def split(cls, pattern: str) -> tuple[str, "Pattern"]:
        """The folder above the first wildcard, and the pattern below it."""
        parts = pattern.split("/")
        first = next((number for number, part in enumerate(parts) if has_wildcard(part)), len(parts) - 1)
        return "/".join(parts[:first]), cls(tuple(parts[first:]))

    def matches(self, name: tuple[str, ...]) -> bool:
        """Whether the parts of a name, or of a folder that it is in, match."""
        return any(_match(self.parts, name[:length]) for length in range(len(name) + 1))

    def enters(self, folder: tuple[str, ...]) -> bool:
        """Whether something below a folder may match."""
        return self.matches(folder) or _leads_to(self.parts[: len(folder)], folder)


def _leads_to(parts: tuple[str, ...], folder: tuple[str, ...]) -> bool:
    """Whether names below a folder may match a pattern that starts with these parts."""
    for part, name in zip(parts, folder, strict=False):
        if part == _ANY_DEPTH:
            return True
        if not fnmatchcase(name, part):
            return False
    return len(parts) >= len(folder)


def _match(parts: tuple[str, ...], name: tuple[str, ...]) -> bool:
    if not parts:
        return not name
    if parts[0] == _ANY_DEPTH:
        return any(_match(parts[1:], name[skipped:]) for skipped in range(len(name) + 1))
    return bool(name) and fnmatchcase(name[0], parts[0]) and _match(parts[1:], name[1:])

"""The token that a Ray cluster may ask for, and what to do when it refuses."""

import os
from pathlib import Path

from facerecon_ray.config.settings import home_expanded

_MODE = "RAY_AUTH_MODE"
_TOKEN, _TOKEN_FILE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_HOME_FILE = Path("~/.ray/auth_token")


def send_token() -> None:
    """Have Ray send the token that there is; it would do so only in a mode that has to be asked for by name."""
    if _token_place():
        os.environ.setdefault(_MODE, "token")


def token_advice() -> str:
    """What a cluster that does not let this process in wants, in words that follow the cluster's name."""
    place, mode = _token_place(), os.environ.get(_MODE)
    if place is None:
        return f"asks for a token: set {_TOKEN} to it, or {_TOKEN_FILE} to the file that holds it"
    if mode != "token":
        return f"asks for a token, but {_MODE} is {mode}: set {_MODE}=token"
    return f"asks for another token than that of {place}; whoever started it has it, in {_HOME_FILE} or {_TOKEN}"


def _token_place() -> str | None:
    """Where this process's token is, in the order in which Ray looks."""
    for name in (_TOKEN, _TOKEN_FILE):
        if os.environ.get(name):
            return name
    return str(_HOME_FILE) if home_expanded(_HOME_FILE).is_file() else None

"""Pages of HTML from the templates of this folder: a value is text there, unless a template calls it `safe`."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from facerecon_ray.storage.uris import name_of

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """A template filled in; bytes of file names that are no text become replacement characters.

    Parameters
    ----------
    template : file of this folder
    values : what it names, all of it
    """
    return _templates().get_template(template).render(values)


def content_policy(scripts: list[str], styles: list[str], others: str, more_scripts: str = "") -> str:
    """Content security policy: only these inline scripts and styles run, and nothing is loaded from anywhere else."""

    def hashes(texts: list[str]) -> str:
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    allowed = f"{hashes(scripts)} {more_scripts}".strip() or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src {hashes(styles)}; "
        f"{others}; base-uri 'none'; form-action 'none'"
    )


def resource(name: str) -> str:
    """Text of a file of this folder."""
    return files("facerecon_ray.report").joinpath(name).read_text(encoding="utf-8")


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


@cache
def _templates() -> "Environment":
    # Not above: workers, which only hand faces to the viewer, make no pages.
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    templates = Environment(
        loader=FunctionLoader(resource),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    own = {"count": "{:,}".format, "number": _number, "duration": duration, "name": name_of, "utc": _utc}
    templates.filters |= own
    return templates


def _printable(value: object) -> object:
    if type(value) is str:  # and no markup
        return value.encode(errors="surrogateescape").decode(errors="replace")
    return value


def _number(value: float | None, digits: int, unit: str = "", none: str = "") -> str:
    return f"{value:.{digits}f}{unit}" if value is not None else none


def _utc(time: str) -> str:
    """An ISO time as people write it."""
    return time.replace("T", " ").replace("+00:00", " UTC")

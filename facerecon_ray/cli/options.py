"""Options that several commands share, and settings from a command's options."""

from pathlib import Path
from typing import Annotated, Any

import typer

ConfigOption = Annotated[Path | None, typer.Option(help="Job file (YAML); options on the command line win.")]
AssignmentsOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting of a job file; may be repeated.")
]
AddressOption = Annotated[
    str | None, typer.Option(help="Address of a running Ray cluster; RAY_ADDRESS is honoured too.")
]
EndpointOption = Annotated[
    str | None, typer.Option(help="Address of an S3-compatible store; AWS_ENDPOINT_URL is honoured too.")
]


def overrides_of(options: dict[str, Any], assignments: list[str] | None) -> dict[str, Any]:
    """Settings by dotted name from a command's own options (None: not given) and its --set NAME=VALUE."""
    from facerecon_ray.config.settings import parse_assignment

    overrides = dict(parse_assignment(text) for text in assignments or [])
    return overrides | {name: value for name, value in options.items() if value is not None}

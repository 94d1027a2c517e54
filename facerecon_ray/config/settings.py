"""What all settings have in common: their base, workers of a stage, and reading a job file."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from facerecon_ray.errors import SettingsError


class Settings(BaseModel):
    """Base of all settings: unknown names are errors, values are checked, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
"""A path that means the same file in every worker process; a relative one starts at the current folder."""


class PoolSettings(Settings):
    """Workers of one stage."""

    workers: int = Field(default=1, ge=1)
    """Processes that run the stage."""
    cpus: float = Field(default=0.1, gt=0.0)
    """CPUs that Ray reserves for each worker; it decides how many workers fit a machine, not how fast one runs."""
    gpus: float = Field(default=0.0, ge=0.0)
    """GPUs that Ray reserves for each worker; fractions share a GPU."""
    batch_size: int = Field(default=8, ge=1)
    """Faces (photos, for read and crop) in one call."""


Job = TypeVar("Job", bound=Settings)


def load_job(kind: type[Job], path: Path | None, overrides: dict[str, Any]) -> Job:
    """Read a job file and apply overrides to it.

    Parameters
    ----------
    kind : class of the job's settings
    path : YAML file, or None for defaults
    overrides : values by dotted name, for example {"rotate.yaw_change": 20}; they win over the file

    Raises
    ------
    SettingsError
        when the file is missing or no YAML mapping, or a setting is unknown or has a value that is not allowed
    """
    tree = _read_yaml(path) if path else {}
    for name, value in overrides.items():
        node = tree
        *parents, leaf = name.split(".")
        for parent in parents:
            if node.get(parent) is None:
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise SettingsError(f"setting {name!r}: {parent!r} is a value, not a group of settings")
        node[leaf] = value
    try:
        return kind.model_validate({name: value for name, value in tree.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "job"
        problem = "there is no such setting" if first["type"] == "extra_forbidden" else first["msg"]
        raise SettingsError(f"setting {where!r}: {problem}") from None


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split one `--set NAME=VALUE`; the value is read as YAML, so numbers and true/false have their types."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise SettingsError(f"--set {text!r}: write NAME=VALUE, for example rotate.yaw_change=20")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        raise SettingsError(f"--set {text!r}: the value is not valid YAML") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise SettingsError(f"job file {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise SettingsError(f"job file {path}: not valid YAML") from None
    if not isinstance(tree, dict):
        raise SettingsError(f"job file {path}: expected settings as NAME: VALUE lines")
    return tree

"""What all settings have in common: their base, workers of a stage, and reading a job file."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from facerecon_ray.errors import SettingsError

# What yaml.safe_load raises, also for text that is no UTF-8, dates that there are not, and brackets without an end.
_NO_YAML = (yaml.YAMLError, ValueError, RecursionError)

COMMAND = "command"
"""The line of a job file that says which command it is for."""


class _Loader(yaml.SafeLoader):
    """YAML in which a name may stand once, as its standard has it; PyYAML takes the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := next((name for name in names if name != "<<" and names.count(name) > 1), None):
            raise SettingsError(f"{twice!r} is there twice")
        return super().construct_mapping(node, deep)


class Settings(BaseModel):
    """Base of all settings: unknown names are errors, values are checked, instances do not change.

    A job's settings name the command that the job file is for.
    """

    command: ClassVar[str] = ""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


def home_expanded(path: Path) -> Path:
    """A path with ~ or ~user at its start replaced as a shell does it: where there is no such home, ~ is a plain name.

    Raises
    ------
    SettingsError
        when the path holds a NUL character, which no file system allows
    """
    if "\0" in str(path):
        raise SettingsError(f"{str(path)!r}: a path holds no NUL character")
    try:
        return path.expanduser()
    except RuntimeError:
        return path


class Names(Enum):
    """What the text of a setting names; a mark on its type, for jobs that are sent to another machine."""

    FILE = "a file"
    """Input that travels with a job when its path is relative."""
    PLACE = "a folder or a prefix of a bucket"
    """Data or results, which do not travel."""
    MODEL = "a model, perhaps as NAME=FILE or FILE.safetensors"


AbsolutePath = Annotated[Path, AfterValidator(lambda path: home_expanded(path).absolute()), Names.FILE]
"""A path that means the same file in every worker process; a relative one starts at the current folder."""


class WorkerRange(Settings):
    """Between how many workers a pool may grow and shrink."""

    min: int = Field(default=1, ge=1)
    """Workers that are started at once and kept."""
    max: int = Field(ge=1)
    """Workers when there is work for them and the cluster has room."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


def _worker_count(value: Any) -> Any:
    """Say what is allowed in one message: a union's own messages name Python types."""
    if value is None or isinstance(value, dict | WorkerRange):
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("expected an integer of at least 1, {min: M, max: N}, or null to have it chosen")
    return value


class PoolSettings(Settings):
    """Workers of one stage. What is null is chosen from measured costs of the stages and the cluster's size."""

    workers: Annotated[WorkerRange | int | None, BeforeValidator(_worker_count)] = None
    """Processes that run the stage: a number, or {min: M, max: N} between which the pool follows the work."""
    cpus: float | None = Field(default=None, gt=0.0)
    """CPUs that Ray reserves for each worker, and (rounded down, at least 1) the threads it computes with."""
    gpus: float | None = Field(default=None, ge=0.0)
    """GPUs that Ray reserves for each worker: whole ones, or a fraction of one that workers share; 0: none."""
    batch_size: int | None = Field(default=None, ge=1)
    """Faces (photos, for read and crop) in one call; large ones save Ray's driver work, small ones start sooner."""
    resources: dict[str, float] = {}
    """Custom resources of Ray that each worker needs, for example {rotation_gpu: 1}; only nodes with them run it."""
    labels: dict[str, str] = {}
    """Labels of the nodes that may run it, for example {ray.io/accelerator-type: A100}."""

    @field_validator("gpus")
    @classmethod
    def _whole_or_fraction(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and value != int(value):
            raise ValueError("more than one GPU must be a whole number")
        return value


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
        when the file is missing, no YAML mapping or for another command, or a setting is unknown or has a value that
        is not allowed
    """
    tree = read_job_file(path) if path else {}
    command = tree.pop(COMMAND, kind.command)
    if command != kind.command:
        raise SettingsError(f"job file {path}: it is for `facerecon {command}`, not for `facerecon {kind.command}`")
    override(tree, overrides)
    try:
        return kind.model_validate({name: value for name, value in tree.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        # Between the names of settings pydantic puts names of its own validators, which have brackets.
        where = ".".join(str(part) for part in first["loc"] if "[" not in str(part)) or "job"
        unknown = first["type"] == "extra_forbidden"
        problem = "there is no such setting" if unknown else first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"setting {where!r}: {problem}") from None


def override(tree: dict[str, Any], values: dict[str, Any]) -> None:
    """Put values by dotted name into a tree of settings, those of groups before those in them.

    Raises
    ------
    SettingsError
        when a part of a name before its last is a value
    """
    for name, value in sorted(values.items(), key=lambda item: item[0].count(".")):
        node = tree
        *parents, leaf = name.split(".")
        for parent in parents:
            if node.get(parent) is None:
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise SettingsError(f"setting {name!r}: {parent!r} is a value, not a group of settings")
        node[leaf] = value


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split one `--set NAME=VALUE`; the value is read as YAML, so numbers and true/false have their types."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise SettingsError(f"--set {text!r}: write NAME=VALUE, for example rotate.yaw_change=20")
    try:
        return name.strip(), yaml.load(value, _Loader)
    except _NO_YAML:
        raise SettingsError(f"--set {text!r}: the value is not valid YAML") from None


def read_job_file(path: Path) -> dict[str, Any]:
    """Contents of a job file.

    Raises
    ------
    SettingsError
        when it is missing or no YAML mapping
    """
    try:
        tree = yaml.load(path.read_text("utf-8-sig"), _Loader) or {}
    except SettingsError as error:
        raise SettingsError(f"job file {path}: {error}") from None
    except OSError as error:
        raise SettingsError(f"job file {path}: {error.strerror}") from None
    except _NO_YAML as error:
        raise SettingsError(f"job file {path}: not valid YAML{_place_of(error)}") from None
    if not isinstance(tree, dict):
        raise SettingsError(f"job file {path}: expected settings as NAME: VALUE lines")
    if odd := next((name for name in tree if not isinstance(name, str)), None):
        raise SettingsError(f"job file {path}: {odd!r} is no name of a setting")
    return tree


def _place_of(error: Exception) -> str:
    """Where in its text YAML found what it does not take, and what that is, as far as it says so."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f": line {error.problem_mark.line + 1}: {error.problem}"
    return ""

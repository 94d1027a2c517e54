"""A job file and what it needs, as a folder that travels to a cluster, and the command that runs there."""

import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from facerecon_ray.config.settings import (
    COMMAND,
    Settings,
    home_expanded,
    load_job,
    override,
    parse_assignment,
    read_job_file,
)
from facerecon_ray.config.training import TrainJob, training_kind
from facerecon_ray.errors import SettingsError

JOB_FILE = "job.yaml"

_KINDS = {
    "reconstruct": "facerecon_ray.config.reconstruct:ReconstructJob",
    "synthesize": "facerecon_ray.config.synthesis:SynthesisJob",
    "evaluate": "facerecon_ray.config.evaluation:EvaluateJob",
    "train": "facerecon_ray.config.training:TrainJob",
}
_FILES = "files"
_PACKAGE = Path(__file__).parents[2]
# Settings of places that may also be s3:// addresses, and so are text.
_PLACES = ("input", "output", "photos", "history", "data")


@dataclass(frozen=True)
class JobPackage:
    """What is submitted.

    folder      with the job file, the files it names and, unless the cluster has it, this package
    entrypoint  command line to run in it
    metadata    shown by `facerecon status`
    """

    folder: Path
    entrypoint: str
    metadata: dict[str, str]


def package_job(
    job_file: Path, assignments: Sequence[str], folder: Path, with_code: bool, options: Sequence[str] = ()
) -> JobPackage:
    """Check a job file as its command would, and put together what the job needs.

    Files that settings name by relative paths travel with the job; absolute paths must exist on the cluster's nodes.

    Parameters
    ----------
    job_file : with a line `command: ...`
    assignments : NAME=VALUE, settings that win over the file
    folder : an empty folder to fill
    with_code : whether this package travels too, for nodes that do not have it installed
    options : more options of the command, for example --retry-failed

    Raises
    ------
    SettingsError
        when the job file is not valid, or names folders by relative paths, which mean nothing on another machine
    """
    tree = read_job_file(job_file)
    command = tree.get(COMMAND)
    if not isinstance(command, str) or command not in _KINDS:
        raise SettingsError(f"job file {job_file}: no line `{COMMAND}: NAME`; NAME is one of {', '.join(_KINDS)}")
    overrides = dict(map(parse_assignment, assignments))
    override(tree, overrides)
    kind = job_kind(tree)
    load_job(kind, job_file, overrides)
    for number, (group, setting, name) in enumerate(_named_paths(tree, kind)):
        group[setting] = _take_along(Path(group[setting]), name, folder, number)
    (folder / JOB_FILE).write_text(yaml.safe_dump(tree, sort_keys=False))
    if with_code:
        shutil.copytree(_PACKAGE, folder / _PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    words = ["python", "-m", _PACKAGE.name, command, "--config", JOB_FILE, *options]
    return JobPackage(folder, shlex.join(words), {COMMAND: command, "output": str(tree.get("output", ""))})


def job_kind(tree: dict[str, Any]) -> type[Settings]:
    """Settings of a job file, given its contents: those of its command, and for training of its network."""
    if tree[COMMAND] == TrainJob.command:
        return training_kind(tree.get("network"))
    module, _, name = _KINDS[tree[COMMAND]].partition(":")
    kind: type[Settings] = getattr(import_module(module), name)
    return kind


def _named_paths(tree: dict[str, Any], kind: type[Settings], prefix: str = "") -> Iterator[tuple[dict, str, str]]:
    """(group, key, dotted name) of settings that hold a relative path."""
    for key, field in kind.model_fields.items():
        value, annotation = tree.get(key), str(field.annotation)
        nested = field.annotation
        if isinstance(value, dict) and isinstance(nested, type) and issubclass(nested, Settings):
            yield from _named_paths(value, nested, f"{prefix}{key}.")
            continue
        is_place = "Path" in annotation or (not prefix and key in _PLACES)
        if is_place and isinstance(value, str) and "://" not in value and not home_expanded(Path(value)).is_absolute():
            yield tree, key, prefix + key


def _take_along(path: Path, setting: str, folder: Path, number: int) -> str:
    """Copy a file into the package; its path there."""
    if not path.is_file():
        raise SettingsError(
            f"setting {setting!r}: {path} is no file that could travel with the job; "
            "use s3://... or an absolute path that exists on the cluster's nodes"
        )
    target = Path(_FILES, str(number), path.name)
    (folder / target).parent.mkdir(parents=True)
    shutil.copy(path, folder / target)
    return str(target)

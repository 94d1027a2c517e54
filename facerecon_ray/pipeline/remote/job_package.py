"""A job file and what it needs, as a folder that travels to a cluster, and the command that runs there."""

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import yaml

from facerecon_ray.config.settings import (
    COMMAND,
    Names,
    Settings,
    home_expanded,
    load_job,
    override,
    parse_assignment,
    read_job_file,
)
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.config.training import TrainJob, training_kind
from facerecon_ray.errors import SettingsError
from facerecon_ray.storage.photos.photo_lists import is_list, read_names
from facerecon_ray.storage.photos.tables import holds_pictures
from facerecon_ray.storage.uris import is_archive_name, is_table_name

JOB_FILE = "job.yaml"

_KINDS = {
    "reconstruct": "facerecon_ray.config.reconstruct:ReconstructJob",
    "synthesize": "facerecon_ray.config.synthesis:SynthesisJob",
    "evaluate": "facerecon_ray.config.evaluation:EvaluateJob",
    "people": "facerecon_ray.config.people:PeopleJob",
    "train": "facerecon_ray.config.training:TrainJob",
}
_FILES = "files"
_PACKAGE = Path(__file__).parents[2]
_LIST_SETTINGS = ("input", "groups")


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
    So does the store that this machine's environment names.

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
        when the job file is not valid, or names folders or photos by relative paths, which mean nothing on another
        machine
    """
    tree = read_job_file(job_file)
    command = tree.get(COMMAND)
    if not isinstance(command, str) or command not in _KINDS:
        raise SettingsError(f"job file {job_file}: no line `{COMMAND}: NAME`; NAME is one of {', '.join(_KINDS)}")
    overrides = dict(map(parse_assignment, assignments))
    override(tree, overrides)
    kind = job_kind(tree)
    job: Any = load_job(kind, job_file, overrides)
    _settle(tree, kind, folder)
    # The nodes' environment may say nothing of the store, or something else.
    if store := job.s3.model_dump(include={"endpoint_url", "region"}, exclude_none=True):
        tree["s3"] = {**(tree.get("s3") or {}), **store}
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


def _settle(tree: dict[str, Any], kind: type[Settings], folder: Path, prefix: str = "") -> None:
    """Copy the files that settings name by relative paths into the package, and refuse places on this machine."""
    for key, field in kind.model_fields.items():
        name, value = prefix + key, tree.get(key)
        parts = _parts(field.annotation)
        nested = next((part for part in parts if isinstance(part, type) and issubclass(part, Settings)), None)
        if nested and isinstance(value, dict):
            _settle(value, nested, folder, f"{name}.")
            continue
        marks = {mark for mark in (*field.metadata, *parts) if isinstance(mark, Names)}
        if Names.PLACE in marks:
            _check_place(name, field.default if value is None else value, value is not None)
        elif Names.FILE in marks and isinstance(value, str):
            tree[key] = _take_along(value, name, folder)
        elif Names.MODEL in marks and isinstance(value, list):
            tree[key] = [_model(str(one), name, folder) for one in value]


def _parts(annotation: Any) -> list[Any]:
    """A type and everything that it is put together from, marks too."""
    return [annotation, *(part for one in get_args(annotation) for part in _parts(one))]


def _is_relative(text: str) -> bool:
    return "://" not in text and not home_expanded(Path(text)).is_absolute()


def _check_place(setting: str, value: Any, is_given: bool) -> None:
    if isinstance(value, str) and _is_relative(value):
        raise SettingsError(
            f"setting {setting!r}: {'' if is_given else 'without a value it is '}{value}, a folder of this machine; "
            "use s3://... or an absolute path that the cluster's nodes share"
        )


def _take_along(text: str, setting: str, folder: Path) -> str:
    """Copy a file into the package unless its path is absolute; its path there."""
    if not _is_relative(text):
        return text
    path = Path(text)
    if not path.is_file():
        raise SettingsError(
            f"setting {setting!r}: {path} is no file that could travel with the job; "
            "use s3://... or an absolute path that exists on the cluster's nodes"
        )
    if is_archive_name(path.name) or (is_table_name(path.name) and holds_pictures(str(path), S3Settings())):
        raise SettingsError(
            f"setting {setting!r}: {path} holds photos of this machine, and is too large to travel with the job; "
            "use s3://... or an absolute path that exists on the cluster's nodes"
        )
    if setting in _LIST_SETTINGS and is_list(path.name):
        _check_list(path, setting)
    files = folder / _FILES
    target = Path(_FILES, str(len(list(files.iterdir())) if files.exists() else 0), path.name)
    (folder / target).parent.mkdir(parents=True)
    shutil.copy(path, folder / target)
    return str(target)


def _model(text: str, setting: str, folder: Path) -> str:
    """KIND, KIND=WEIGHTS or WEIGHTS with the weights taken along."""
    kind, equals, weights = text.partition("=")
    if equals:
        return f"{kind}={_take_along(weights, setting, folder)}"
    return _take_along(text, setting, folder) if Path(text).suffix else text


def _check_list(path: Path, setting: str) -> None:
    """Refuse photos that only this machine has: relative entries of a list start at the list's folder."""
    for entry in read_names(str(path), lambda: path.open("rb")):
        if _is_relative(entry):
            raise SettingsError(
                f"setting {setting!r}: list {path} names {entry}, a file of this machine; "
                "write s3://... or absolute paths that the cluster's nodes share"
            )

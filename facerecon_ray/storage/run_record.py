"""run.json: what a run was told, what it ran on, and what came of it."""

import json
from typing import Any

from pydantic import BaseModel, Field

from facerecon_ray.errors import MissingObjectError, OutputError, StorageError, StoreUnavailableError
from facerecon_ray.storage.layout import RUN_RECORD
from facerecon_ray.storage.objects import ObjectStore
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.software import machine, package_version, versions
from facerecon_ray.storage.starts import Start
from facerecon_ray.storage.uris import as_bytes

_VERSIONED = ("ray", "torch", "numpy", "pyarrow", "dlib-bin", "opencv-python-headless", "trimesh")


class Run(Start):
    """One start of the job."""

    photos: int = 0
    faces: int = 0
    faces_per_second: float | None = None
    pools: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Workers of each stage, and what each of them had."""
    timeline: list[tuple[float, int, int, int]] = Field(default_factory=list)
    """Seconds since the workers were started, and photos, faces and failed rows by then."""


class RunRecord(BaseModel):
    """Contents of run.json; counts and seconds cover all runs into the folder.

    assets       SHA-256 of each model file that the results depend on, by its setting
    people       outputs of `facerecon people` that were made of this one
    open_shards  shards whose part of the manifest may not have all of their photos
    """

    facerecon_ray: str
    photo_root: str
    settings: dict[str, Any]
    assets: dict[str, str] = {}
    open_shards: list[int] = []
    people: list[str] = []
    versions: dict[str, str]
    host: dict[str, Any]
    runs: list[Run] = []
    photos: int = 0
    rows: dict[str, int] = {}
    stage_seconds: dict[str, float] = {}


def new_record(settings: dict[str, Any], photo_root: str, assets: dict[str, str] | None = None) -> RunRecord:
    """Record of a job that has not run yet."""
    return RunRecord(
        facerecon_ray=package_version(),
        photo_root=photo_root,
        settings=settings,
        assets=assets or {},
        versions=versions(_VERSIONED),
        host=machine(),
    )


def load_record(store: ObjectStore) -> RunRecord | None:
    """Record of the earlier runs into an output, None when there is none.

    Raises
    ------
    OutputError
        when run.json is there but is not a run's record
    """
    try:
        return RunRecord.model_validate(json.loads(store.read(RUN_RECORD)))
    except MissingObjectError:
        return None
    except StoreUnavailableError:
        raise
    except (StorageError, ValueError):
        raise OutputError(f"output {store.uri}: its {RUN_RECORD} cannot be read; choose another output") from None


def save_record(output: OutputFolder, record: RunRecord) -> None:
    """Write run.json."""
    output.write(RUN_RECORD, as_bytes(json.dumps(record.model_dump(), indent=2, ensure_ascii=False) + "\n"))

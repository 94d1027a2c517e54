"""export.json: whose meshes an exported folder holds, so that those of other jobs or formats do not mix with them."""

import json

from pydantic import BaseModel

from facerecon_ray.errors import MissingObjectError, OutputError, StorageError, StoreUnavailableError
from facerecon_ray.storage.layout import EXPORT_LIST, EXPORT_RECORD, MESHES
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.uris import as_bytes


class ExportRecord(BaseModel):
    """Contents of export.json.

    source    output of the job
    started   when that was, for a job that was done anew has other faces under the same names
    format, topology    of the meshes
    """

    facerecon_ray: str
    source: str
    started: str
    format: str
    topology: str


def load_export(folder: OutputFolder) -> ExportRecord | None:
    """Record of what was exported into a folder, None when it is new.

    Raises
    ------
    OutputError
        when there is something else in it, or the record cannot be read
    """
    try:
        return ExportRecord.model_validate(json.loads(folder.store.read(EXPORT_RECORD)))
    except MissingObjectError:
        own = [name for name in folder.own_names() if name == MESHES]
        own += [name for name in (EXPORT_LIST,) if folder.store.exists(name)]
        if own:
            raise OutputError(
                f"{folder.uri}: {', '.join(own)} in it was not exported; choose an empty folder"
            ) from None
        return None
    except StoreUnavailableError:
        raise
    except (StorageError, ValueError):
        raise OutputError(f"{folder.uri}: its {EXPORT_RECORD} cannot be read; choose another folder") from None


def require_same(earlier: ExportRecord, now: ExportRecord, where: str) -> None:
    """Refuse a folder with other meshes.

    Raises
    ------
    OutputError
        with what differs
    """
    names = ("source", "started", "format", "topology")
    if changed := [name for name in names if getattr(earlier, name) != getattr(now, name)]:
        differences = "; ".join(
            f"{name} was {getattr(earlier, name)}, now is {getattr(now, name)}" for name in changed
        )
        raise OutputError(f"{where} holds meshes of another kind ({differences}); choose another folder")


def save_export(folder: OutputFolder, record: ExportRecord) -> None:
    """Write export.json."""
    folder.write(EXPORT_RECORD, as_bytes(json.dumps(record.model_dump(), indent=2, ensure_ascii=False) + "\n"))

"""The manifest's row: one face, or one photo that gave no face. The only place that names its columns and types.

A column is null where a row has no such value: a photo without a face has no bbox, a face that failed has no mesh.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

SCHEMA_VERSION = 1
TIMED_STAGES = ("read", "crop", "rotate", "reconstruct", "export", "write")

_FLOATS = pa.list_(pa.float32())


def _matrix(*shape: int) -> pa.DataType:
    kind = pa.float32()
    for size in reversed(shape):
        kind = pa.list_(kind, size)
    return kind


def _struct(*names: str) -> pa.DataType:
    return pa.struct([(name, pa.float32()) for name in names])


MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("photo_uri", pa.string(), nullable=False),  # absolute path; file:// where it is no valid text
        pa.field("photo_width", pa.int32()),  # pixels, upright
        pa.field("photo_height", pa.int32()),
        pa.field("face_count", pa.int32(), nullable=False),  # faces found in the photo: its number of rows when > 0
        pa.field("face_index", pa.int32()),
        pa.field("status", pa.string(), nullable=False),  # ok, no_face, unreadable, failed
        pa.field("error", pa.string()),  # one sentence
        pa.field("bbox", _matrix(4)),  # x0, y0, x1, y1 in photo pixels
        pa.field("detection_score", pa.float32()),
        pa.field("crop_transform", _matrix(2, 3)),  # photo pixels -> crop pixels
        pa.field("landmarks", _matrix(68, 2)),  # photo pixels
        pa.field("pose", _struct("yaw", "pitch", "roll")),  # degrees
        pa.field("camera", _struct("scale", "x", "y")),  # crop pixels per metre, crop pixels
        pa.field("shape", _FLOATS),  # standard deviations
        pa.field("expression", _FLOATS),  # standard deviations
        pa.field("fit_error", pa.float32()),
        pa.field("rotated_yaw", pa.float32()),  # degrees
        pa.field("visible_share", pa.float32()),  # of the rotated view's face pixels, those that the photo saw
        pa.field("mesh_uri", pa.string()),  # relative to the output folder
        pa.field("preview_uri", pa.string()),  # relative to the output folder
        pa.field("landmarks_3d", _matrix(68, 3)),  # photo pixels
        pa.field("quality", pa.float32()),
        pa.field("timings", _struct(*TIMED_STAGES)),  # milliseconds
    ],
    metadata={"schema_version": str(SCHEMA_VERSION)},
)


def manifest_rows(batch: Mapping[str, np.ndarray]) -> pa.Table:
    """Manifest rows of a batch that has been through all stages.

    Stages fill the columns of a row that they did not process with zeros; here these become nulls.

    Parameters
    ----------
    batch : columns of the stages with B rows, and mesh_uri, preview_uri ("" where there is none)
    """
    cropped = batch["bbox"][:, 2] > batch["bbox"][:, 0]
    fitted = cropped & (batch["camera"][:, 0] > 0)
    exported = fitted & (batch["status"] == "ok")
    rows = len(cropped)
    of_crop = ("bbox", "detection_score", "crop_transform", "landmarks")
    columns = {
        "photo_uri": pa.array(batch["photo_uri"], pa.string()),
        "photo_width": pa.array(batch["photo_width"], pa.int32(), mask=batch["photo_width"] <= 0),
        "photo_height": pa.array(batch["photo_height"], pa.int32(), mask=batch["photo_height"] <= 0),
        "face_count": pa.array(np.where(cropped, batch["face_count"], 0), pa.int32()),
        "face_index": pa.array(batch["face_index"], pa.int32(), mask=~cropped),
        "status": pa.array(batch["status"], pa.string()),
        **{name: _text(batch[name]) for name in ("error", "mesh_uri", "preview_uri")},
        **{name: _numbers(batch[name], cropped) for name in of_crop},
        **{name: _numbers(batch[name], fitted) for name in ("fit_error", "rotated_yaw", "visible_share")},
        **{name: _numbers(batch[name], fitted).cast(_FLOATS) for name in ("shape", "expression")},
        **{name: _numbers(batch[name], exported) for name in ("landmarks_3d", "quality")},
        "pose": _named(batch["pose"], fitted, MANIFEST_SCHEMA.field("pose").type),
        "camera": _named(batch["camera"], fitted, MANIFEST_SCHEMA.field("camera").type),
        "timings": _timings(batch, rows),
    }
    return pa.table({name: columns[name] for name in MANIFEST_SCHEMA.names}, schema=MANIFEST_SCHEMA)


def _text(values: np.ndarray) -> pa.Array:
    return pa.array([value or None for value in values], pa.string())


def _numbers(values: np.ndarray, valid: np.ndarray) -> pa.Array:
    """(B, ...) array as nested lists of fixed sizes, null where not valid."""
    kind: pa.Array = pa.array(np.ascontiguousarray(values, np.float32).ravel())
    mask = pa.array(~valid)
    if values.ndim == 1:
        return pa.array(values.astype(np.float32), mask=~valid)
    for axis in range(values.ndim - 1, 0, -1):
        kind = pa.FixedSizeListArray.from_arrays(kind, values.shape[axis], mask=mask if axis == 1 else None)
    return kind


def _named(values: np.ndarray, valid: np.ndarray, kind: pa.DataType) -> pa.Array:
    columns = [pa.array(np.ascontiguousarray(column, np.float32)) for column in values.T]
    return pa.StructArray.from_arrays(columns, fields=list(kind), mask=pa.array(~valid))


def _timings(batch: Mapping[str, np.ndarray], rows: int) -> pa.Array:
    kind = MANIFEST_SCHEMA.field("timings").type
    milliseconds = [np.asarray(batch.get(f"{stage}_ms", np.zeros(rows)), np.float32) for stage in TIMED_STAGES]
    return pa.StructArray.from_arrays(
        [pa.array(values, mask=values <= 0) for values in milliseconds], fields=list(kind)
    )

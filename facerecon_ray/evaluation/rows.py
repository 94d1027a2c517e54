"""The result's row: one model on one picture, or one scan or photo that could not be used. Names and types stand here.

A value is null where a row has no such value: a face that was not found has no error, a photo has no mesh to compare.
"""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from facerecon_ray.storage.uris import as_bytes

SCHEMA_VERSION = 1

OK, NOT_RECONSTRUCTED, UNUSABLE = "ok", "not_reconstructed", "unusable"
"""A row is ok; or the model gave nothing for a good picture, which counts against it; or the data itself is bad."""

EMBEDDED, FOREIGN, SCANS, LANDMARKS = "embedded", "foreign", "scans", "landmarks"

ATTRIBUTES = ("gender", "age", "african", "asian", "caucasian")

LOOKS = ("expression", "beard")
"""Names of the expression, "neutral" without one, and of the beard, "none" without one."""

_number = pa.float32()

ROW_SCHEMA = pa.schema(
    [
        pa.field("data", pa.string(), nullable=False),  # embedded, foreign, scans, landmarks
        pa.field("item", pa.string(), nullable=False),  # subject or photo
        pa.field("model", pa.string()),  # null for a scan or photo that could not be used
        pa.field("yaw", _number),  # degrees by which the scan was turned, or the photo's own
        pa.field("pitch", _number),
        pa.field("status", pa.string(), nullable=False),  # ok, not_reconstructed, unusable
        pa.field("error", pa.string()),  # one sentence
        pa.field("note", pa.string()),  # what was wrong with the scan and could be put up with
        pa.field("nme", _number),  # mean distance to the scan over the mesh's size, see geometry/mesh_errors.py
        pa.field("nme_median", _number),
        pa.field("nme_p90", _number),
        pa.field("mm", _number),  # mean millimetres within 95 mm of the nose tip
        pa.field("box", _number),  # the mesh's size, metres
        pa.field("nme_corresponding", _number),  # without ICP
        pa.field(
            "landmarks_3d", _number
        ),  # after ICP: the 51 landmarks of the mesh to the scan's, over their box size
        pa.field("landmark_nme", _number),
        pa.field("recognition", _number),  # cosine between the descriptors of the photo and of the rendered mesh
        pa.field("recognition_distance", _number),
        pa.field("icp_fit", _number),  # share of vertices closer to the scan than 2 % of the mesh's size
        pa.field("icp_start", pa.int32()),  # which start won, 0 is the landmarks'
        pa.field("icp_agreement", _number),
        pa.field("detection_score", _number),
        pa.field("fit_error", _number),  # the rotation's own measures of its quality
        pa.field("visible_share", _number),
        pa.field("quality", _number),
        pa.field("estimated_yaw", _number),
        pa.field("estimated_pitch", _number),
        pa.field("rotated_yaw", _number),
        pa.field("pose_error", _number),  # degrees between the pose the fit says and the true one
        *(pa.field(name, _number) for name in ATTRIBUTES),
        *(pa.field(name, pa.string()) for name in LOOKS),
        pa.field("distance", _number),  # metres from the camera to the head, where it is known
        pa.field("unit", pa.string()),  # of the scan's file, as guessed
        pa.field("frontal_rounds", pa.int32()),
        pa.field("frontal_residual", _number),  # degrees
        pa.field("seconds", _number),  # of the task, shared by its rows
    ],
    metadata={"schema_version": str(SCHEMA_VERSION)},
)


def rows_table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Rows as a table; a key that is no column is a mistake."""
    rows = list(rows)
    unknown = {key for row in rows for key in row} - set(ROW_SCHEMA.names)
    if unknown:
        raise ValueError(f"no column for {sorted(unknown)}")
    return pa.Table.from_pylist(rows, schema=ROW_SCHEMA)


def known_values(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it can be written: without NaN, which JSON has not and programs count among the values of a Parquet
    column, and with escapes for what is no text in a file's name.
    """
    texts = {key: as_bytes(value).decode() for key, value in row.items() if isinstance(value, str)}
    return {key: value for key, value in row.items() if value == value} | texts
